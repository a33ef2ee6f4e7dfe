"""Segments of maps and of runs: where they lie, what is at a place, and their masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from fastseg import count_pairs, label_components
from fastseg.counting.instances import component_segments, grown_pairs, grown_segments, pairs_of_segments
from fastseg.counting.segments import MapSegments


@given(mask=arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 9))))
@settings(max_examples=40, deadline=None)
def test_runs_and_maps_say_the_same(mask: np.ndarray) -> None:
    runs, classes = component_segments(mask, 0, 26)
    numbers = np.stack([label_components(each, 26) for each in mask])
    whole = MapSegments(numbers, 0)
    assert classes is None
    assert runs.shape == whole.shape == mask.shape[1:]
    found = [np.unique(each[each > 0]) for each in numbers]
    case = np.repeat(np.arange(len(mask)), [each.size for each in found])
    ids = np.concatenate(found)
    for one, other in zip(runs.places(case, ids), whole.places(case, ids), strict=True):
        assert one == pytest.approx(other)
    places = runs.places(case, ids)[0]
    assert runs.at(case, places).tolist() == whole.at(case, places).tolist()
    box = tuple(slice(0, size) for size in mask.shape[1:])
    for n, number in zip(case.tolist(), ids.tolist(), strict=True):
        several = [number, int(found[n][0])] if number != found[n][0] else [number]
        assert runs.mask(n, several, box).tolist() == whole.mask(n, several, box).tolist()
        own = tuple(slice(*ends) for ends in runs.places(np.array([n]), np.array([number]))[1][0].tolist())
        assert runs.mask(n, [number], own).sum() == (numbers[n] == number).sum()


@given(drawn=arrays(bool, st.tuples(st.just(2), st.integers(1, 2), st.integers(1, 6), st.integers(1, 9))))
@settings(max_examples=60, deadline=None)
def test_pairs_are_those_of_the_maps(drawn: np.ndarray) -> None:
    (true, _), (pred, _) = (component_segments(each, 0, 8) for each in drawn)
    maps = [np.stack([label_components(each, 8) for each in side]) for side in drawn]
    assert pairs_of_segments(true, pred) == count_pairs(*maps, sample_axis=0)


@given(drawn=arrays(bool, (2, 4, 6, 8), elements=st.sampled_from([False] * 6 + [True])), steps=st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_what_was_grown(drawn: np.ndarray, steps: int) -> None:
    true, grown = grown_segments(drawn[0], None, 26, steps, 18)
    pred, _ = component_segments(drawn[1], None, 26)
    box = tuple(slice(0, size) for size in drawn.shape[1:])
    number = label_components(drawn[0], 26, dilation=steps)
    found = sum(k * true.mask(0, [k], box) for k in range(1, int(number.max()) + 1))
    assert np.array_equal(found if number.any() else number, number)
    wide = sum(k * grown.mask(0, [k], box) for k in range(1, int(number.max()) + 1)) if number.any() else number
    columns = grown_pairs(true, grown, pred)
    predicted = label_components(drawn[1], 26)
    wanted = {}
    for key in zip(wide.flat, (number > 0).flat, predicted.flat, strict=True):
        plain = int(key[0]), bool(key[1]), int(key[2])
        wanted[plain] = wanted.get(plain, 0) + 1
    rows = zip(*(each.tolist() for each in columns[1:4]), columns[4].tolist(), strict=True)
    assert {(ids, inside, labels): voxels for ids, inside, labels, voxels in rows} == wanted
