"""`SurfaceDistances`: what it may hold, how it is joined, and that nothing is lost on the way to disk and back."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fastseg import SurfaceDistances, surface_distances


def example(seed: int = 0, **options: Any) -> SurfaceDistances:
    """Return two cases of three classes, of which one is nowhere and one is not predicted."""
    random = np.random.default_rng(seed)
    true, pred = random.integers(0, 3, (2, 2, 5, 6, 4))
    pred[pred == 2] = 0
    given: Any = {"spacing": (2, 1, 0.5), "labels": [1, 2, 7], "sample_axis": 0, **options}
    return surface_distances(true, pred, **given)


WHOLE = example()


def parts() -> tuple[SurfaceDistances, SurfaceDistances]:
    """Return the example as two parts: the rows' first distances, and all others."""
    lengths = np.diff(WHOLE.starts)
    found = []
    for first in (True, False):
        rows = [slice(a, a + 1) if first else slice(a + 1, b) for a, b in pairwise(WHOLE.starts)]
        rows = [rows[i] if lengths[i] else slice(0, 0) for i in range(lengths.size)]
        weights = [WHOLE.weights[row] for row in rows]
        found.append(
            replace(
                WHOLE,
                part=True,
                starts=np.concatenate([[0], np.cumsum([w.size for w in weights])]),
                distances=np.concatenate([WHOLE.distances[row] for row in rows]),
                weights=np.concatenate(weights),
                elements=np.array([w.sum() for w in weights]).reshape(WHOLE.elements.shape),
            )
        )
    return found[0], found[1]


def test_rows_and_totals() -> None:
    assert WHOLE.num_cases == 2
    assert WHOLE.elements.shape == (2, 3, 2)
    assert (WHOLE.totals == WHOLE.elements).all()
    assert not WHOLE.weighted
    distances, weights = WHOLE.row(1, 1, "pred_to_true")
    assert weights.sum() == WHOLE.elements[1, 0, 1]
    assert (np.diff(distances) > 0).all()
    assert WHOLE.row(-1, 2, "true_to_pred")[0].tolist() == [np.inf]  # predicted nowhere
    assert WHOLE.row(0, 7, "true_to_pred")[0].tolist() == []
    with pytest.raises(ValueError, match=r"direction: expected one of \('true_to_pred', 'pred_to_true'\), found 0"):
        WHOLE.row(0, 1, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"name: expected one of \[1, 2, 7\], found 3"):
        WHOLE.row(0, 3, "true_to_pred")


def test_it_is_told_in_a_line() -> None:
    pairs = f"{WHOLE.distances.size} distances of {WHOLE.elements.sum()} elements"
    assert repr(WHOLE) == f"<SurfaceDistances of 2 case(s), 3 classes: {pairs} ('voxel')>"


def test_cases_are_joined_and_taken_apart() -> None:
    one, two = WHOLE.cases([0]), WHOLE.cases(slice(1, 2))
    assert one.concat(two) == WHOLE
    assert two.concat(one) == WHOLE.cases([1, 0])
    assert WHOLE.cases([]).num_cases == 0
    assert WHOLE.cases([]).concat(WHOLE) == WHOLE
    other = example(spacing=(1, 1, 1))
    assert WHOLE.concat(other).spacing[[0, 3]].tolist() == [[2, 1, 0.5], [1, 1, 1]]


def test_pooled_cases_have_all_of_their_elements() -> None:
    pooled = WHOLE.pooled()
    assert pooled.elements.tolist() == WHOLE.elements.sum(0, keepdims=True).tolist()
    for name in WHOLE.classes:
        for direction in ("true_to_pred", "pred_to_true"):
            every = np.concatenate([np.repeat(*WHOLE.row(n, name, direction)) for n in range(2)])
            assert np.repeat(*pooled.row(0, name, direction)).tolist() == sorted(every)
    assert pooled.spacing.tolist() == [[2, 1, 0.5]]
    assert WHOLE.concat(example(spacing=1)).pooled().spacing.tolist() == [[0, 0, 0]]
    summed = pooled.summed()
    assert summed.classes == ("all",)
    assert summed.totals.tolist() == pooled.totals.sum(1, keepdims=True).tolist()


def test_classes_are_chosen_and_renamed() -> None:
    chosen = WHOLE.select([2, 1])
    assert chosen.classes == (2, 1)
    assert chosen.row(1, 1, "true_to_pred")[1].tolist() == WHOLE.row(1, 1, "true_to_pred")[1].tolist()
    assert chosen.select([1]).rename({1: "liver"}).classes == ("liver",)
    with pytest.raises(ValueError, match=r"classes: \[3\] are not among \[1, 2, 7\]"):
        WHOLE.select([3])
    with pytest.raises(ValueError, match="classes: expected a name for each"):
        WHOLE.rename({1: 2})


def test_parts_merge_and_wholes_do_not() -> None:
    first, rest = parts()
    whole = replace(WHOLE, farthest=None)  # of parts nobody knows whose is the farther
    assert replace(first.merge(rest), part=False) == replace(rest.merge(first), part=False) == whole
    zeros = SurfaceDistances.zeros([1, 2, 7], cases=2)
    assert zeros.merge(WHOLE) == WHOLE.merge(zeros) == WHOLE
    assert zeros.merge(first) == first
    with pytest.raises(ValueError, match="merge joins parts of the same cases, and distances of whole cases are none"):
        WHOLE.merge(WHOLE)
    with pytest.raises(ValueError, match="distances of whole cases are none"):
        first.merge(WHOLE)
    with pytest.raises(ValueError, match="there are 2 and 1 cases"):
        WHOLE.merge(WHOLE.cases([0]))
    with pytest.raises(ValueError, match="parts of the same cases differ in their spacing"):
        first.merge(replace(rest, spacing=rest.spacing * 2))


def test_different_things_are_not_joined() -> None:
    for other, message in (
        (example(surface="object"), "surfaces differ in kind: surface is 'voxel' of one and 'object' of the other"),
        (example(border="extend"), "surfaces differ in kind: border is 'background' of one and 'extend'"),
        (example(max_distance=3), "surfaces differ in kind: max_distance is inf of one and 3.0"),
        (example(labels=[1, 2, 3]), r"surfaces differ in their classes: \[1, 2, 7\] and \[1, 2, 3\]"),
        (SurfaceDistances.zeros([1, 2, 7], dimensions=2), "surfaces differ in their axes: 3 and 2"),
        (
            SurfaceDistances.zeros([1, 2, 7], weighted=True),
            "surfaces differ in kind: weighted is False of one and True",
        ),
    ):
        for join in (WHOLE.merge, WHOLE.concat):
            with pytest.raises(ValueError, match=message):
                join(other)
    with pytest.raises(TypeError, match="other: expected SurfaceDistances, found int"):
        WHOLE.concat(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "surfaces", [WHOLE, example(max_distance=1.5, border="extend"), WHOLE.pooled(), WHOLE.cases([])]
)
def test_bytes_and_pickles_are_the_same_again(surfaces: SurfaceDistances) -> None:
    assert SurfaceDistances.from_bytes(surfaces.to_bytes()) == surfaces
    copy = pickle.loads(pickle.dumps(surfaces))
    assert copy == surfaces
    assert not copy.distances.flags.writeable
    assert b"Infinity" not in surfaces.to_bytes()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights": WHOLE.weights + 1}, ValueError, "elements: expected the numbers of elements that the weights"),
        ({"weights": -WHOLE.weights}, ValueError, "distances, weights: expected distances that increase"),
        ({"weights": WHOLE.weights.astype(np.int32)}, TypeError, "weights: expected int64, found"),
        ({"distances": WHOLE.distances[::-1].copy()}, ValueError, "distances, weights: expected distances that increase"),
        ({"distances": np.where(WHOLE.distances == 0, np.nan, WHOLE.distances)}, ValueError, "that increase within"),
        ({"distances": WHOLE.distances[1:]}, ValueError, "as many weights as distances"),
        ({"starts": WHOLE.starts + 1}, ValueError, "starts: expected to rise from 0"),
        ({"starts": WHOLE.starts.tolist()}, TypeError, "starts: expected int64, found"),
        ({"classes": (1, 2)}, ValueError, "starts, elements, shape: expected shapes"),
        ({"classes": (1, 1, 2)}, ValueError, "classes: expected a name for each"),
        ({"farthest": WHOLE.elements}, ValueError, r"farthest: expected shape \(2, 3, 2, 3\), found \(2, 3, 2\)"),
        ({"spacing": WHOLE.spacing[0]}, ValueError, r"spacing: expected shape \(cases, axes\)"),
    ],
)  # fmt: skip
def test_what_it_cannot_be(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replace(WHOLE, **changes)
