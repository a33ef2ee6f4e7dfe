"""Sums over scores, by Numba: a tile of voxels at a time, from the scores to every sum that is asked for.

A tile is read where it lies if its voxels lie side by side, class by class, and all are looked at; else it is copied first
(channels last: transposed; some voxels left out: gathered). Then come the probabilities, and last the sums, in registers
along a class and in float64, so that how voxels are cut into tiles changes nothing but the last bits of a double.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.jit import device, kernel
from fastseg.kernels.vectors import (
    WIDTH,
    above_half,
    below_infinity,
    bits_count,
    complement,
    exp_scaled,
    exponent_of,
    floats,
    floor_of,
    integers,
    lane_numbers,
    load,
    load_integers,
    log_of,
    minus_log_of,
    minus_magnitude,
    multiply_add,
    narrow,
    prefetch,
    select,
    shift_of,
    store,
    store_labels,
    sum_of,
    transpose_tile,
    widen,
    zero_of,
)

__all__ = ["classify", "sum_tiles"]

U = np.uint64
_ZERO, _ONE, _TWO = U(0), U(1), U(2)
W = U(WIDTH)
_AHEAD = U(512)  # voxels to prefetch ahead
_AHEAD_LAST = U(256)  # the same where the classes of a voxel lie side by side
# What float32 may round an allowed probability to: a little more than RANGE_TOLERANCE, which the error message goes by.
LEAST, MOST = -1.0001e-3, 1.0010002
_CLASSES = U(16)  # classes whose exponentials are summed together

# Rows of the sums.
TRUE_PRED, PRED, PRED_SQUARED, TRUE, TRUE_SQUARED, CROSS_ENTROPY, ABSOLUTE, BRIER, NEGATIVE_LOG, FOCAL, RANKS = map(
    U, range(11)
)
SUM_ROWS = 11
# Rows of what is known of each voxel: 1 / Σ exp, -ln p of the true class, 1 - p of the most probable class, weight.
INVERSE, LOSS, REST, WEIGHT = map(U, range(4))
VOXEL_ROWS = 4
# Words of the state: bad voxels or values, looked at.
BAD, SEEN = map(U, range(2))
# Bits of what is wanted; Σ |p - t| and Σ (p - t)² come with DETAILS.
DICE, LOSSES, LABELS, DETAILS, LOGS, UNIT_SUM = map(U, (1, 2, 4, 8, 16, 32))
WANT_NEGATIVE_LOG, WANT_FOCAL, WANT_RANKS, WANT_BINS, LOG_LOSSES = map(U, (64, 128, 256, 512, 1024))


@kernel
def classify(labels: Any, mask: Any, ignored: Any, count: Any, codes: Any) -> None:
    """Write into codes (V,) the labels below `count`, and -1 for what is not looked at."""
    for i in range(codes.size):
        value = labels[i]
        inside = value >= 0 and value < count
        label = np.int64(value if inside else 0)
        codes[i] = np.int16(label if inside and label == value else -1)
    for other in ignored:
        for i in range(codes.size):
            codes[i] = np.int16(-1) if codes[i] == other else codes[i]
    if mask is not None:
        for i in range(codes.size):
            codes[i] = np.int16(-1) if mask[i] == 0 else codes[i]


@device
def _softmax_tile(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, p: Any, q: Any, logs: Any, voxel: Any, best: Any,
    once: Any, wanted: Any, state: Any,
) -> None:  # fmt: skip
    """Fill p with unscaled exponentials and `voxel` with their inverse sums; with DETAILS p is scaled, and q is 1 - p."""
    zero, one = floats(0.0), floats(1.0)
    bad = _ZERO
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        largest = load(x, _ZERO, at + i)
        prefetch(x, _ZERO, at + i + _AHEAD)
        first = integers(_ZERO)
        if once is not None:
            store(p, _ZERO, i, largest)
        for c in range(_ONE, channels):
            z = load(x, c, at + i)
            prefetch(x, c, at + i + _AHEAD)
            higher = z > largest
            largest = select(higher, z, largest)
            first = select(higher, integers(c), first)
            if once is not None:
                store(p, c, i, z)
        shift = shift_of(largest)
        floor, exponent = floor_of(largest, shift), exponent_of(largest, shift)
        top = exp_scaled(largest, shift, floor, exponent)
        others = zero
        true = largest
        for block in range(_ZERO, channels, _CLASSES):  # sums of sums: fewer roundings one after another
            part = zero
            for c in range(block, min(block + _CLASSES, channels)):
                if once is not None:
                    z = load(p, c, i)
                else:
                    z = load(x, c, at + i)
                y = exp_scaled(z, shift, floor, exponent)
                store(p, c, i, y)
                part = part + select(first == integers(c), zero, y)
                true = select(code == integers(c), z, true)
            others = others + part
        live = lane_numbers() + integers(i) < integers(n)
        inverse = select(live, one / (others + top), zero)
        bad += bits_count(inverse != inverse)
        rest = others * inverse
        log = minus_log_of(top * inverse, rest)
        store(voxel, INVERSE, i, inverse)
        store(voxel, LOSS, i, select(live, narrow(largest - true) + log, zero))
        store(voxel, REST, i, rest)
        store_labels(best, i, first)
        if q is not None:
            if wanted & LOGS != _ZERO:
                for c in range(channels):
                    store(logs, c, i, narrow(largest - load(x, c, at + i)) + log)
            if wanted & DETAILS != _ZERO:
                store(voxel, INVERSE, i, select(live, one, zero))
                for c in range(channels):
                    y = load(p, c, i) * inverse
                    store(p, c, i, y)
                    store(q, c, i, select(first == integers(c), rest, one - y))
        i += W
    state[BAD] += bad


@device
def _probability_tile(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, p: Any, q: Any, logs: Any, others: Any, voxel: Any,
    best: Any, wanted: Any, tolerance: Any, state: Any,
) -> None:  # fmt: skip
    """Do what `_softmax_tile` does for scores that are probabilities already; `others` is -ln(1 - p)."""
    zero = floats(0.0)
    bad = _ZERO
    i = _ZERO
    while i < n:
        live = lane_numbers() + integers(i) < integers(n)
        if wanted & (LOSSES | LABELS | UNIT_SUM | DETAILS) != _ZERO:
            code = load_integers(codes, code_at + i)
            largest = load(x, _ZERO, at + i)
            true = largest
            total = narrow(largest)
            first = integers(_ZERO)
            for c in range(_ONE, channels):
                z = load(x, c, at + i)
                higher = z > largest
                largest = select(higher, z, largest)
                first = select(higher, integers(c), first)
                true = select(code == integers(c), z, true)
                total = total + narrow(z)
            if channels == _ONE:
                first = select(above_half(largest), integers(_ONE), first)
            if wanted & UNIT_SUM != _ZERO:
                above = total > floats(1.0 + tolerance + 1e-4)
                bad += bits_count(live & (above | (total < floats(1.0 - tolerance - 1e-4))))
            store_labels(best, i, first)
            if wanted & LOSSES != _ZERO:
                store(voxel, LOSS, i, select(live, zero - log_of(true), zero))
        if q is not None:
            if wanted & DETAILS != _ZERO:
                for c in range(channels):
                    z = load(x, c, at + i)
                    store(p, c, i, narrow(z))
                    store(q, c, i, complement(z))
            if wanted & LOGS != _ZERO:
                for c in range(channels):
                    z = load(x, c, at + i)
                    store(logs, c, i, zero - log_of(z))
                    store(others, c, i, zero - log_of(complement(z)))
        i += W
    state[BAD] += bad


@device
def _sigmoid_tile(
    x: Any, at: Any, n: Any, channels: Any, p: Any, q: Any, logs: Any, others: Any, best: Any, wanted: Any, state: Any
) -> None:
    """Fill p with probabilities; with DETAILS also q = 1 - p; with LOGS also -ln p and -ln(1 - p)."""
    zero, one = floats(0.0), floats(1.0)
    bad = _ZERO
    for c in range(channels):
        i = _ZERO
        while i < n:
            z = load(x, c, at + i)
            prefetch(x, c, at + i + _AHEAD)
            live = lane_numbers() + integers(i) < integers(n)
            nothing = zero_of(z)
            away = minus_magnitude(z)
            small = exp_scaled(away, nothing, floor_of(nothing, nothing), exponent_of(nothing, nothing))
            inverse = one / (one + small)
            positive = narrow(z) > zero
            likely = small * inverse
            bad += bits_count(live) - bits_count(live & below_infinity(z))
            store(p, c, i, select(live, select(positive, inverse, likely), zero))
            if q is not None:
                if wanted & DETAILS != _ZERO:
                    store(q, c, i, select(positive, likely, inverse))
                if wanted & LOGS != _ZERO:
                    log = minus_log_of(inverse, likely)
                    far = zero - narrow(away)
                    store(logs, c, i, select(positive, log, far + log))
                    store(others, c, i, select(positive, far + log, log))
            i += W
    if wanted & LABELS != _ZERO:
        i = _ZERO
        while i < n:
            largest = load(x, _ZERO, at + i)
            first = integers(_ZERO)
            if channels == _ONE:
                first = select(largest > zero_of(largest), integers(_ONE), first)
            for c in range(_ONE, channels):
                z = load(x, c, at + i)
                higher = z > largest
                largest = select(higher, z, largest)
                first = select(higher, integers(c), first)
            store_labels(best, i, first)
            i += W
    state[BAD] += bad


@device
def _sum_labels(
    p: Any, at: Any, n: Any, channels: Any, scaled: Any, checked: Any, voxel: Any, codes: Any, code_at: Any, low: Any,
    high: Any, weighted: Any, wanted: Any, sums: Any, state: Any,
) -> None:  # fmt: skip
    """Add the sums of soft Dice, and of the losses of each true class, for a label map whose codes are low..high."""
    zero = floats(0.0)
    nothing = widen(zero)
    least, most = floats(LEAST), floats(MOST)
    first = _ONE if channels == _ONE else _ZERO
    for c in range(channels):
        if wanted & DICE != _ZERO or checked is not None:
            total, squares = nothing, nothing
            good = zero == zero
            i = _ZERO
            while i < n:
                y = narrow(load(p, c, at + i))
                if checked is not None:
                    prefetch(p, c, at + i + _AHEAD)
                    good = good & (y >= least) & (y <= most)
                if scaled is not None:
                    y = y * load(voxel, INVERSE, i)
                z = widen(y)
                if weighted:
                    weight = widen(load(voxel, WEIGHT, i)) * z
                    total = total + weight
                    squares = multiply_add(weight, z, squares)
                else:
                    total = total + z
                    squares = multiply_add(z, z, squares)
                i += W
            sums[PRED, c] += sum_of(total)
            sums[PRED_SQUARED, c] += sum_of(squares)
            if checked is not None:
                state[BAD] += W - bits_count(good)
        if np.int64(c + first) >= low and np.int64(c + first) <= high:
            target = integers(c + first)
            total, losses = nothing, nothing
            i = _ZERO
            while i < n:
                here = load_integers(codes, code_at + i) == target
                y = narrow(load(p, c, at + i))
                if scaled is not None:
                    y = y * load(voxel, INVERSE, i)
                loss = load(voxel, LOSS, i)
                y, loss = widen(select(here, y, zero)), widen(select(here, loss, zero))
                if weighted:
                    weight = widen(load(voxel, WEIGHT, i))
                    y = y * weight
                    loss = select(weight > nothing, loss * weight, nothing)
                total = total + y
                losses = losses + loss
                i += W
            sums[TRUE_PRED, c] += sum_of(total)
            if wanted & LOSSES != _ZERO:
                sums[CROSS_ENTROPY, c] += sum_of(losses)


@device
def _sum_soft(
    p: Any, at: Any, n: Any, channels: Any, scaled: Any, checked: Any, voxel: Any, t: Any, t_at: Any, weighted: Any,
    sums: Any, state: Any,
) -> None:  # fmt: skip
    """Add the sums of soft Dice for a truth that has a probability for every class."""
    zero = floats(0.0)
    nothing = widen(zero)
    least, most = floats(LEAST), floats(MOST)
    for c in range(channels):
        both, total, squares, true, true_squares = nothing, nothing, nothing, nothing, nothing
        good = zero == zero
        i = _ZERO
        while i < n:
            y, u = narrow(load(p, c, at + i)), narrow(load(t, c, t_at + i))
            prefetch(t, c, t_at + i + _AHEAD)
            good = good & (u >= least) & (u <= most)
            if checked is not None:
                prefetch(p, c, at + i + _AHEAD)
                good = good & (y >= least) & (y <= most)
            if scaled is not None:
                y = y * load(voxel, INVERSE, i)
            z, v = widen(y), widen(u)
            if weighted:
                weight = widen(load(voxel, WEIGHT, i))
                weighted_z, weighted_v = z * weight, v * weight
                total, true = total + weighted_z, true + weighted_v
                squares, true_squares = multiply_add(weighted_z, z, squares), multiply_add(weighted_v, v, true_squares)
                both = multiply_add(weighted_z, v, both)
            else:
                total, true = total + z, true + v
                squares, true_squares = multiply_add(z, z, squares), multiply_add(v, v, true_squares)
                both = multiply_add(z, v, both)
            i += W
        sums[TRUE_PRED, c] += sum_of(both)
        sums[PRED, c] += sum_of(total)
        sums[PRED_SQUARED, c] += sum_of(squares)
        sums[TRUE, c] += sum_of(true)
        sums[TRUE_SQUARED, c] += sum_of(true_squares)
        state[BAD] += W - bits_count(good)


@device
def _fill_truth(
    n: Any, channels: Any, codes: Any, code_at: Any, t: Any, t_at: Any, voxel: Any, weighted: Any, truth: Any, true_best: Any,
) -> None:  # fmt: skip
    """Write the truth as floats, and a weight for every voxel of the tile: 0 past its end."""
    zero, one = floats(0.0), floats(1.0)
    first = _ONE if channels == _ONE else _ZERO
    i = _ZERO
    while i < n:
        live = lane_numbers() + integers(i) < integers(n)
        if weighted == 0:
            store(voxel, WEIGHT, i, select(live, one, zero))
        if t is None:
            code = load_integers(codes, code_at + i)
            for c in range(channels):
                store(truth, c, i, select(live & (code == integers(c + first)), one, zero))
            store_labels(true_best, i, code)
        else:
            largest = load(t, _ZERO, t_at + i)
            label = integers(_ZERO)
            if channels == _ONE:
                label = select(above_half(largest), integers(_ONE), label)
            for c in range(channels):
                u = load(t, c, t_at + i)
                higher = u > largest
                largest = select(higher, u, largest)
                label = select(higher, integers(c), label)
                store(truth, c, i, select(live, narrow(u), zero))
            store_labels(true_best, i, label)
        i += W


@device
def _sum_losses(n: Any, channels: Any, binary: Any, logs: Any, others: Any, truth: Any, voxel: Any, sums: Any) -> None:
    """Add cross-entropy from the logarithms of all probabilities."""
    zero, one = floats(0.0), floats(1.0)
    for c in range(channels):
        total = widen(zero)
        i = _ZERO
        while i < n:
            t, weight = load(truth, c, i), load(voxel, WEIGHT, i)
            loss = select(t == zero, zero, t * load(logs, c, i))
            if binary:
                loss = loss + select(t == one, zero, (one - t) * load(others, c, i))
            total = total + widen(select(weight > zero, loss * weight, zero))
            i += W
        sums[CROSS_ENTROPY, c] += sum_of(total)


@device
def _power(x: Any, exponent: Any) -> Any:
    """Return x to the power `exponent` for floats x from 0 to 1."""
    zero, one = floats(0.0), floats(1.0)
    y = log_of(x) * floats(exponent)
    if exponent == 0.0:
        y = zero
    y = exp_scaled(y, zero, floats(-104.0), exponent_of(zero, zero))
    return select(x < one, y, one)


@device
def _sum_details(
    x: Any, at: Any, n: Any, channels: Any, binary: Any, p: Any, q: Any, logs: Any, others: Any, truth: Any, voxel: Any,
    best: Any, true_best: Any, gamma: Any, wanted: Any, given: Any, exact: Any, sums: Any, top_bins: Any, class_bins: Any,
) -> None:  # fmt: skip
    """Add what is asked for less often, from the probabilities p, q = 1 - p, their logarithms, and the truth."""
    zero, one, half = floats(0.0), floats(1.0), floats(0.5)
    for c in range(channels):
        distance, squares, log, focal = widen(zero), widen(zero), widen(zero), widen(zero)
        i = _ZERO
        while i < n:
            y, rest, t, weight = load(p, c, i), load(q, c, i), load(truth, c, i), load(voxel, WEIGHT, i)
            inside = weight > zero
            away = select(t > y, t - y, y - t)
            away = select(t == one, rest, away)
            away = select(away < zero, zero - away, away)
            distance = distance + widen(select(inside, away * weight, zero))
            squares = squares + widen(select(inside, away * away * weight, zero))
            if wanted & WANT_NEGATIVE_LOG != _ZERO:
                value = load(logs, c, i)
                if binary:
                    value = half * value + half * load(others, c, i)
                log = log + widen(select(inside, value * weight, zero))
            if wanted & WANT_FOCAL != _ZERO:
                loss = select(t == zero, zero, t * load(logs, c, i) * _power(rest, gamma))
                if binary:
                    loss = loss + select(t == one, zero, (one - t) * load(others, c, i) * _power(y, gamma))
                focal = focal + widen(select(inside, loss * weight, zero))
            i += W
        sums[ABSOLUTE, c] += sum_of(distance)
        sums[BRIER, c] += sum_of(squares)
        sums[NEGATIVE_LOG, c] += sum_of(log)
        sums[FOCAL, c] += sum_of(focal)
    if wanted & WANT_BINS != _ZERO:
        bins = U(top_bins.shape[0])
        for c in range(channels):
            for j in range(n):
                y, t, weight = np.float64(p[c, j]), np.float64(truth[c, j]), np.float64(voxel[WEIGHT, j])
                rest = np.float64(q[c, j])
                if exact is not None:  # float32 may be beyond the edge of a bin
                    y = np.float64(x[c, at + j])
                if given is not None:
                    rest = 1.0 - y
                b = min(U(min(max(y, 0.0), 1.0) * np.float64(bins)), bins - _ONE)
                class_bins[c, b, 0] += weight
                class_bins[c, b, 1] += weight * y
                class_bins[c, b, 2] += weight * t
                if binary:
                    right = np.float64((y > 0.5) == (t > 0.5))
                    y = max(y, rest)
                    b = min(U(min(y, 1.0) * np.float64(bins)), bins - _ONE)
                    top_bins[b, 0] += weight
                    top_bins[b, 1] += weight * y
                    top_bins[b, 2] += weight * right
        if not binary:
            for j in range(n):
                y, weight = np.float64(p[U(best[j]), j]), np.float64(voxel[WEIGHT, j])
                if exact is not None:
                    y = np.float64(x[U(best[j]), at + j])
                right = np.float64(best[j] == true_best[j])
                b = min(U(min(max(y, 0.0), 1.0) * np.float64(bins)), bins - _ONE)
                top_bins[b, 0] += weight
                top_bins[b, 1] += weight * y
                top_bins[b, 2] += weight * right
    if wanted & WANT_RANKS != _ZERO:
        i = _ZERO
        while i < n:
            label = load_integers(true_best, i)
            true = load(x, _ZERO, at + i)
            for c in range(channels):
                true = select(label == integers(c), load(x, c, at + i), true)
            rank = integers(_ZERO)
            for c in range(channels):
                z = load(x, c, at + i)
                before = (z > true) | ((z == true) & (integers(c) < label))
                rank = rank + select(before, integers(_ONE), integers(_ZERO))
            store_labels(best, i, rank)  # the most probable labels are not needed any more
            i += W
        for j in range(n):
            sums[RANKS, U(best[j])] += np.float64(voxel[WEIGHT, j])


@device
def _gather(source: Any, start: Any, index: Any, n: Any, channels: Any, tile: Any) -> None:
    """Do tile[c, j] = source[c, start + index[j]], and fill up the last vector with zeros."""
    for c in range(channels):
        for j in range(n):
            tile[c, j] = source[c, start + index[j]]
        for j in range(n, (n + W - _ONE) // W * W):
            tile[c, j] = 0


@device
def _transpose(source: Any, start: Any, n: Any, channels: Any, tile: Any) -> None:
    """Do tile[c, j] = source[c, start + j] where the classes of a voxel lie side by side; n is a multiple of 16."""
    # The tile has rows for whole blocks, but the source must not be read past its end: the last block has its own loop.
    last = start + n == U(source.shape[1]) and channels % U(4) != _ZERO
    whole = n - U(16) if last else n
    for j in range(_ZERO, whole, U(16)):
        for k in range(_ZERO, U(16), _TWO):
            for c in range(_ZERO, channels, W):
                prefetch(source, c, start + j + k + _AHEAD_LAST)
        for c in range(_ZERO, channels, U(4)):
            transpose_tile(source, c, start + j, tile, j)
    for j in range(whole, n):
        for c in range(channels):
            tile[c, j] = source[c, start + j]


@kernel
def sum_tiles(
    scores: Any, direct: Any, truth: Any, truth_direct: Any, codes: Any, weight: Any, softmax: Any, sigmoid: Any, doubles: Any,
    once: Any, wanted: Any, tolerance: Any, gamma: Any, tile: Any, tile_view: Any, truth_tile: Any, truth_view: Any,
    tile_codes: Any, index: Any, p: Any, q: Any, logs: Any, others: Any, floats_true: Any, voxel: Any, best: Any,
    true_best: Any, predicted: Any, true_labels: Any, sums: Any, total: Any, top_bins: Any, class_bins: Any, state: Any,
) -> None:  # fmt: skip
    """Add a span of V voxels with C classes to the sums.

    scores (C, V), truth (C, V) or None; direct, truth_direct: None where the classes of a voxel lie side by side instead of
    the voxels of a class. codes (V,): the label, -1 where a voxel is not looked at. softmax, sigmoid, doubles, once (the
    scores are converted once rather than read twice): None for no. `tile` to `true_best` are room for a tile; q is None where
    only DICE, LOSSES and LABELS of a label map may be wanted. Writes predicted and true_labels (V,), and adds to sums, total,
    bins and state.
    """
    channels, size, room = U(scores.shape[0]), U(scores.shape[1]), U(index.size)
    binary = channels == _ONE or sigmoid is not None
    start = _ZERO
    while start < size:
        n = min(room, size - start)
        low, high = codes[start], codes[start]
        for j in range(start, start + n):
            low, high = min(low, codes[j]), max(high, codes[j])
        if high >= 0:
            whole = low >= 0 and n % W == _ZERO
            count = n
            t, t_at = truth_view, _ZERO
            x, at = tile_view, _ZERO
            c, c_at = tile_codes, _ZERO
            if whole:
                c, c_at = codes, start
                if direct is not None:
                    x, at = scores, start
                else:
                    _transpose(scores, start, n, channels, tile)
                if truth is not None:
                    if truth_direct is not None:
                        t, t_at = truth, start
                    else:
                        _transpose(truth, start, n, channels, truth_tile)
            else:
                count = _ZERO
                low = high
                for j in range(n):
                    code = codes[start + j]
                    index[count] = j
                    tile_codes[count] = code
                    low = min(low, code) if code >= 0 else low
                    count += _ONE if code >= 0 else _ZERO
                for j in range(count, (count + W - _ONE) // W * W):
                    tile_codes[j] = -1
                _gather(scores, start, index, count, channels, tile)
                if truth is not None:
                    _gather(truth, start, index, count, channels, truth_tile)
            state[SEEN] += count
            weighted = weight is not None
            if weight is not None:
                for j in range(count):
                    w = np.float64(weight[start + (j if whole else index[j])])
                    state[BAD] += U(not (w == 0.0 or (w >= 0.99999e-30 and w <= 1.00001e30)))
                    total[0] += w
                    voxel[WEIGHT, j] = np.float32(w)
                for j in range(count, (count + W - _ONE) // W * W):
                    voxel[WEIGHT, j] = 0
            else:
                total[0] += np.float64(count)
            if softmax is not None:
                _softmax_tile(x, at, count, channels, c, c_at, p, q, logs, voxel, best, once, wanted, state)
            elif sigmoid is not None:
                _sigmoid_tile(x, at, count, channels, p, q, logs, others, best, wanted, state)
            else:
                _probability_tile(
                    x, at, count, channels, c, c_at, p, q, logs, others, voxel, best, wanted, tolerance, state
                )
            if predicted is not None:
                if whole:
                    for j in range(_ZERO, count, W):
                        store_labels(predicted, start + j, load_integers(best, j))
                else:
                    for j in range(count):
                        predicted[start + index[j]] = best[j]
            if truth is None:
                if softmax is not None:
                    _sum_labels(
                        p, _ZERO, count, channels, True, None, voxel, c, c_at, low, high, weighted, wanted, sums, state
                    )
                elif sigmoid is not None:
                    _sum_labels(
                        p, _ZERO, count, channels, None, None, voxel, c, c_at, low, high, weighted, wanted, sums, state
                    )
                else:
                    _sum_labels(
                        x, at, count, channels, None, True, voxel, c, c_at, low, high, weighted, wanted, sums, state
                    )
                if q is not None:
                    _fill_truth(count, channels, c, c_at, None, _ZERO, voxel, weighted, floats_true, true_best)
            else:
                if softmax is not None:
                    _sum_soft(p, _ZERO, count, channels, True, None, voxel, t, t_at, weighted, sums, state)
                elif sigmoid is not None:
                    _sum_soft(p, _ZERO, count, channels, None, None, voxel, t, t_at, weighted, sums, state)
                else:
                    _sum_soft(x, at, count, channels, None, True, voxel, t, t_at, weighted, sums, state)
                if q is not None:
                    _fill_truth(count, channels, c, c_at, t, t_at, voxel, weighted, floats_true, true_best)
                    if true_labels is not None:
                        for j in range(count):
                            true_labels[start + (j if whole else index[j])] = true_best[j]
            if q is not None:
                if wanted & LOG_LOSSES != _ZERO:
                    _sum_losses(count, channels, binary, logs, others, floats_true, voxel, sums)
                if wanted & DETAILS != _ZERO:
                    if softmax is None and sigmoid is None:
                        _sum_details(
                            x, at, count, channels, binary, p, q, logs, others, floats_true, voxel, best, true_best, gamma,
                            wanted, True, doubles, sums, top_bins, class_bins,
                        )  # fmt: skip
                    else:
                        _sum_details(
                            x, at, count, channels, binary, p, q, logs, others, floats_true, voxel, best, true_best, gamma,
                            wanted, None, None, sums, top_bins, class_bins,
                        )  # fmt: skip
        start += n
