"""Sums over scores on a GPU, and the gradients of losses: what the kernels are told, and what is read back."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation
from fastseg.kernels.cuda.driver import Driver, driver
from fastseg.kernels.cuda.labels import WORDS, places_of, told_of_weights, weigh, weights_of
from fastseg.kernels.cuda.maps import ADDRESS, ARRAY, MOST_AXES, PLANS, Lying, Maps, packed, padded
from fastseg.kernels.protocols.device import Device, Limits
from fastseg.kernels.protocols.scores import GradientTerms, ScoreOptions

__all__ = ["MOST_CHANNELS", "SCORE_QUANTITIES", "ScoreSums", "Scores", "sum_scores", "write_gradient"]

#: What can be summed there.
SCORE_QUANTITIES = frozenset({"dice", "cross_entropy", "argmax", "absolute", "brier", "smoothing", "focal"})
#: Of how many classes.
MOST_CHANNELS = 256
_USUAL = {"dice", "cross_entropy", "argmax"}
#: Threads of a block, and blocks of a multiprocessor at a time, by what registers leave room for.
_THREADS, _BLOCKS = 128, 4
#: Blocks of a multiprocessor that sum scores, at most: where that is more than run at a time, the next takes the place of one
#: that is done.
_MOST_BLOCKS = 16
#: Of a label map and of a soft truth: as many classes as leave room for that, and as many as are kept in registers.
_CROWDED = ((24, 32), (8, 16))
#: Voxels that a thread looks at together where it keeps their scores, and of how many classes at most.
_TOGETHER = {4: 16, 2: 24, 1: 32}
#: Voxels of a part are a multiple of these.
_TILE = 4 * _THREADS
#: Parts of all samples that keep a GPU busy, voxels of larger ones; most parts, and most bytes of what they come to.
_BUSY_PARTS, _FULL_PART = 512, 1 << 12
_MOST_PARTS, _MOST_BYTES = 2048, 32 << 20
#: Blocks that write a gradient, to those that there is room for at a time, at least: the last round is seldom a full one.
_ROUNDS = 16
#: Shared memory that all else of the kernel has, at most.
_RESERVED = 48 << 10
_MOST_ROWS = 65535

_ACTIVATIONS = {None: "PROBABILITIES", "softmax": "SOFTMAX", "sigmoid": "SIGMOID"}

#: The end of `Scores` in scores.cuh, behind five arrays: sizes of the axes, voxels, samples, axes, ignored labels and how many
#: they are; tolerance, scale.
_SCORES = struct.Struct(f"<{MOST_AXES + 3}qQq2f")
#: Where the address of the ignored labels is in there.
_IGNORED = 5 * ARRAY.size + (MOST_AXES + 3) * 8
#: Those of `Job`, behind the scores: in score_sums.cuh parts, voxels of a part, partial, table, numbers, largest, weights and
#: gamma; in score_gradient.cuh terms and gamma. All of it in fold_sums.cuh.
_SUMS_JOB, _GRADIENT_JOB, _FOLD_JOB = struct.Struct("<2q5Qf4x"), struct.Struct("<Qf4x"), struct.Struct("<2Q3q")
#: What adds up the parts of samples.
FOLD = Specialisation("fold_sums", (("THREADS", 256), ("BLOCKS", _BLOCKS)))


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of N samples, whose voxels lie as those of their truth: one object for all that lie so, from other bases."""

    scores: Lying
    truth: Lying
    mask: Lying | None
    out: Lying | None
    """What is written to."""
    sizes: tuple[int, ...]
    """Of the axes, in the order of memory."""
    samples: int
    options: ScoreOptions
    weight: Lying | None = None
    scale: float | None = None
    """What scores are divided by."""

    @functools.cached_property
    def voxels(self) -> int:
        """Voxels of a sample."""
        return prod(self.sizes)

    @property
    def arrays(self) -> tuple[Lying | None, ...]:
        """The arrays in the order of the structure that kernels read, which is that of their bases."""
        return self.scores, self.truth, self.mask, self.out, self.weight

    @functools.cached_property
    def _packed(self) -> bytes:
        """The structure that kernels read, without addresses."""
        tolerance, sizes = self.options.sum_tolerance, self.sizes
        end = _SCORES.pack(
            *padded(sizes),
            self.voxels,
            self.samples,
            len(sizes),
            0,
            len(self.options.ignored),
            -1 if tolerance is None else tolerance,
            1 if self.scale is None else self.scale,
        )
        return b"".join([*map(packed, self.arrays), end])

    def packed(self, found: Driver, bases: tuple[int, ...], device: Device, more: bytes) -> bytearray:
        """Return the structure that kernels read, of arrays that begin there; and what follows."""
        job = bytearray(self._packed + more)
        for place, (array, base) in enumerate(zip(self.arrays, bases, strict=True)):
            if array is not None:
                ADDRESS.pack_into(job, place * ARRAY.size, base + array.pointer)
        if self.options.ignored:
            ADDRESS.pack_into(job, _IGNORED, found.upload(np.array(self.options.ignored, np.int64), device))
        return job

    def specialised(self, kernel: str, *macros: tuple[str, str | int], blocks: int = _BLOCKS) -> Specialisation:
        """Return a kernel for arrays of these types that lie so."""
        options, mask = self.options, self.mask
        return Specialisation(
            kernel,
            (
                ("SCORE", self.scores.type), ("TRUTH", self.truth.type), ("CHANNELS", options.channels),
                ("ACTIVATION", _ACTIVATIONS[options.activation]), ("SOFT", int(options.soft)),
                ("LINE", int(len(self.sizes) == 1)), ("MASKED", int(mask is not None)),
                ("MASK", "u8" if mask is None else mask.type), ("SCALED", int(self.scale is not None)),
                ("THREADS", _THREADS), ("BLOCKS", blocks), *macros,
            ),
        )  # fmt: skip

    @property
    def together(self) -> tuple[int, int]:
        """How many voxels a thread looks at together where it keeps their scores, and how they can be read together.

        1 says that voxels lie side by side, 2 that their classes do, 0 that nothing does.
        """
        voxels = next(voxels for voxels, most in _TOGETHER.items() if self.options.channels <= most)
        if _beside(self.scores, self.options.channels, voxels):
            return voxels, 2
        read = [each for each in (self.scores, self.truth, self.mask) if each is not None]
        return voxels, self.scores.channel_step % voxels == 0 and all(
            each.steps == (1,) and each.pointer % (voxels * each.itemsize) == 0 and each.sample_step % voxels == 0
            for each in read
        )

    @functools.cached_property
    def parts(self) -> tuple[int, int]:
        """Return in how many parts a sample is summed, and voxels of each: the same on every GPU.

        So many that they keep a GPU busy, and then larger ones: what a part comes to is added up among the threads of a block.
        """
        tiles, full = -(-self.samples * self.voxels // _TILE), self.samples * self.voxels // _FULL_PART
        room = _MOST_BYTES // (8 * max(1, self.columns))
        parts = max(1, min(_MOST_PARTS, room, max(full, min(tiles, _BUSY_PARTS))) // self.samples)
        voxels = -(-self.voxels // (parts * _TILE)) * _TILE
        return -(-self.voxels // voxels), voxels

    @functools.cached_property
    def rows(self) -> tuple[str, ...]:
        """What is summed of each class, in the order of score_sums.cuh: names of `ScoreTally`."""
        wanted, soft = self.options.quantities, self.options.soft
        rows: list[str] = []
        rows += ["true_pred", "pred", "pred_squared"] if "dice" in wanted else []
        rows += ["true"] if soft else []
        rows += ["true_squared"] if soft and "dice" in wanted else []
        rows += [name for name in ("cross_entropy", "absolute", "brier") if name in wanted]
        rows += ["negative_log"] if "smoothing" in wanted else []
        rows += ["focal", "focal_others"] if "focal" in wanted else []
        return (*rows, "total") if soft and self.weight is not None else tuple(rows)

    @property
    def columns(self) -> int:
        """How many numbers a part comes to."""
        return len(self.rows) * self.options.channels


class ScoreSums(NamedTuple):
    """What N samples come to."""

    sums: dict[str, npt.NDArray[np.float64]]
    """(N, C) of each name in `Scores.rows`."""
    counts: npt.NDArray[np.int64]
    """(N, L, L) voxels, rows true, columns most probable (where that is not asked for, true again)."""
    counted: npt.NDArray[np.int64]
    """(N,) voxels."""
    ignored: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    """(N,) voxels whose label, truth, scores or weight are not allowed."""
    weights: npt.NDArray[np.float64] | None
    """(N, L, L) their summed weights, None without."""


class _Plan(NamedTuple):
    """How scores that lie alike are summed: all that is the same whenever that is asked for."""

    what: Specialisation
    blocks: int
    shared: int
    """Bytes of shared memory of a block."""
    places: tuple[int, ...]
    """Where sums, table, numbers, words of weights, bad weights and the largest one begin."""
    ends: tuple[int, ...]
    """Where they end, in numbers of 64 bits; the parts' own sums come behind."""


@functools.lru_cache(maxsize=PLANS)
def _plan(scores: Scores, limits: Limits) -> _Plan:
    samples, cells = scores.samples, scores.options.labels**2
    words = 0 if scores.weight is None else samples * cells * WORDS
    sizes = [samples * scores.columns, samples * cells, samples * 3, words, samples, 1]
    shared = 0 if _usual(scores) or cells * 4 > limits.shared_bytes - _RESERVED else cells * 4
    blocks = max(1, min(samples * scores.parts[0], limits.multiprocessors * _MOST_BLOCKS))
    what = sums_kernel(scores, bool(shared))
    return _Plan(what, blocks, shared, tuple(places_of(0, sizes)), tuple(accumulate(sizes)))


def sum_scores(scores: Scores, bases: tuple[int, ...], device: Device) -> Callable[[], ScoreSums]:
    """Sum the scores of each sample; return a function that waits for the sums."""
    found = driver()
    options, samples, rows, columns = scores.options, scores.samples, scores.rows, scores.columns
    labels, (parts, part_voxels) = options.labels, scores.parts
    with found.at(device):
        plan = _plan(scores, found.limits(device))
        head = plan.ends[-1] * 8
        pointer = found.zeros(head, device, beyond=samples * parts * columns * 8)
        sums, table, numbers, weights, bad, largest = [pointer + place for place in plan.places]
        partial = pointer + head
        if scores.weight is not None:
            # Of voxels within the mask, whether they are looked at or not; which weights are not allowed is found there.
            line = Maps(scores.weight, scores.weight, scores.mask, scores.sizes, samples, 1, scores.weight)
            own = (bases[4], bases[4], bases[2], bases[4])
            weigh(found, line, own, device, told_of_weights(0, largest, bad, 0, 0, 0), ("LARGEST",))
        told = _SUMS_JOB.pack(parts, part_voxels, partial, table, numbers, largest, weights, options.focal_gamma)
        job = scores.packed(found, bases, device, told)
        found.launch(plan.what, device, (plan.blocks, 1), plan.shared, job)
        if columns:
            _fold(found, device, (partial, sums, samples, parts, columns))
        fetched = found.fetch(pointer, head, device)

    def finish() -> ScoreSums:
        content = fetched.wait()
        folded = np.frombuffer(content, np.float64, samples * columns).reshape(samples, len(rows), options.channels)
        _, counts, numbers, words, _, largest = np.split(np.frombuffer(content, np.int64), plan.ends[:-1])
        square = (samples, labels, labels)
        ignored, outside, wrong = numbers.reshape(samples, 3).T
        return ScoreSums(
            {name: folded[:, row] for row, name in enumerate(rows)},
            counts.reshape(square),
            counts.reshape(samples, -1).sum(1),
            ignored,
            outside,
            wrong,
            None if scores.weight is None else weights_of(words.reshape(*square, WORDS), largest),
        )

    return finish


def sums_kernel(scores: Scores, shared: bool) -> Specialisation:
    """Return the kernel that sums these; `shared` says whether the table of labels is in shared memory."""
    options, rows = scores.options, ("ROWS", len(scores.rows))
    quantities = [(name.upper(), int(name in options.quantities)) for name in sorted(SCORE_QUANTITIES)]
    if _usual(scores):
        used = [macro for macro in quantities if macro[0].lower() in _USUAL]
        voxels, packed = scores.together
        blocks = _BLOCKS if packed or voxels * scores.options.channels <= 32 else _BLOCKS // 2  # by places in registers
        together = ("AT_ONCE", voxels), ("PACKED", int(packed))
        return scores.specialised("label_score_sums", *used, rows, *together, blocks=blocks)
    weight = () if scores.weight is None else (("WEIGHTED", 1), ("WEIGHT", scores.weight.type))
    return scores.specialised("score_sums", *quantities, rows, ("TABLE", "SHARED" if shared else "GLOBAL"), *weight)


def _beside(array: Lying, channels: int, voxels: int) -> bool:
    """Tell whether the classes of some voxels lie side by side, where as many can be read together as divide their number."""
    numbers, wide = channels * voxels, 16 // array.itemsize
    while numbers % wide:
        wide //= 2
    line = array.channel_step == 1 and array.steps == (channels,) and channels > 1
    return line and array.pointer % (wide * array.itemsize) == 0 and array.sample_step % wide == 0


def _usual(scores: Scores) -> bool:
    """Tell whether the scores of a voxel fit the registers, and so do all sums that are asked for."""
    options = scores.options
    few = options.activation == "softmax" and not options.soft and options.channels <= _CROWDED[0][1]
    return (
        few
        and scores.weight is None
        and options.quantities <= _USUAL
        and bool(options.quantities & {"dice", "cross_entropy"})
    )


def _blocks(scores: Scores) -> int:
    """Return how many blocks of a multiprocessor there can be at a time where scores are kept in registers."""
    least, most = _CROWDED[scores.options.soft]
    many = least < scores.options.channels <= most and scores.options.activation == "softmax"
    return _BLOCKS // 2 if many else _BLOCKS


def gradient_kernel(scores: Scores) -> Specialisation:
    """Return the kernel that writes the gradient of these."""
    assert scores.out is not None
    options, focal = scores.options, "focal" in scores.options.quantities
    kept = options.activation == "softmax" and options.channels <= _CROWDED[options.soft][1] and not focal
    beside = kept and all(_beside(each, options.channels, 1) for each in (scores.scores, scores.out))
    macros = ("OUT", scores.out.type), ("FOCAL", int(focal)), ("BESIDE", int(beside))
    return scores.specialised("score_gradient", *macros, blocks=_blocks(scores))


def _fold(found: Driver, device: Device, what: tuple[int, ...]) -> None:
    """Add up the parts of each sample."""
    _, _, samples, _, columns = what
    found.launch(FOLD, device, (-(-columns // 8), min(samples, _MOST_ROWS)), 0, _FOLD_JOB.pack(*what))


def write_gradient(scores: Scores, bases: tuple[int, ...], terms: list[GradientTerms], device: Device) -> None:
    """Write the derivatives of a loss by all scores, without waiting for them; `terms` are those of each sample."""
    assert scores.out is not None
    found = driver()
    focal = "focal" in scores.options.quantities
    names = ("slope", "curve", "level", "base", "hit", *(("focal", "focal_others") if focal else ()))
    table = np.array([[getattr(each, name) for name in names] for each in terms], np.float32)
    with found.at(device):
        pointer = found.zeros(0, device, beyond=table.nbytes)
        found.write(pointer, table.tobytes(), device)
        job = scores.packed(found, bases, device, _GRADIENT_JOB.pack(pointer, scores.options.focal_gamma))
        rows = min(scores.samples, _MOST_ROWS)
        wanted = -(-found.limits(device).multiprocessors * _BLOCKS * _ROUNDS // rows)
        blocks = max(1, min(-(-scores.voxels // _THREADS), wanted))
        what = gradient_kernel(scores)
        found.launch(what, device, (blocks, rows), 0, job)
