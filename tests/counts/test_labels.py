"""The statistics: laws of merging, regions against naive counting of voxels, round trips, and what must be refused."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from fastseg import BinaryCounts, LabelCounts, count_labels, count_masks

Counts = LabelCounts | BinaryCounts

FEW = settings(deadline=None, max_examples=50)
VALUES = [0, 1, 2, 5, -1, 2**40]
IGNORED, STRANGE = 255, 7  # a true label that is left out, and a prediction outside the classes
INTEGERS = st.integers(0, 10**15)
EIGHTHS = st.integers(0, 2**20).map(lambda n: n / 8)  # floats whose sums are exact, so that laws hold with ==
FLOATS = st.floats(0, 1e300)


@st.composite
def kin(draw: Any, number: int, floats: st.SearchStrategy[float] = EIGHTHS, kind: type | None = None) -> list[Any]:
    """Draw statistics that may be merged: of one kind, one number of cases, and (unless open) one set of labels."""
    kind = kind or draw(st.sampled_from([LabelCounts, BinaryCounts]))
    cases, weighted, closed = draw(st.integers(1, 3)), draw(st.booleans()), draw(st.booleans())
    labels = draw(st.lists(st.sampled_from(VALUES), unique=True, max_size=4))

    def array(*shape: int, integers: bool = not weighted) -> Any:
        dtype, elements = (np.int64, INTEGERS) if integers else (np.float64, floats)
        return draw(hnp.arrays(dtype, shape, elements=elements))

    def one() -> Counts:
        voxels = array(cases, 4, integers=True)
        if kind is BinaryCounts:
            names = [f"region {label}" if label > 1 else label for label in labels]
            return BinaryCounts(tuple(names), *(array(cases, len(names)) for _ in range(4)), voxels)
        mine = labels if closed else sorted(draw(st.lists(st.sampled_from(VALUES), unique=True, max_size=4)))
        k = len(mine)
        return LabelCounts(np.array(mine, np.int64), closed, array(cases, k, k), array(cases, k), voxels)

    return [one() for _ in range(number)]


def zeros_like(counts: Counts, cases: int | None = None) -> Any:
    cases = counts.num_cases if cases is None else cases
    if isinstance(counts, BinaryCounts):
        return BinaryCounts.zeros(counts.classes, cases=cases, weighted=counts.weighted)
    return LabelCounts.zeros(counts.labels if counts.closed else None, cases=cases, weighted=counts.weighted)


def arrays_of(counts: Counts) -> list[np.ndarray]:
    found = (getattr(counts, f.name) for f in fields(counts))
    return [value for value in found if isinstance(value, np.ndarray)]


@given(kin(1))
@FEW
def test_zeros_is_the_identity(parts: list[Any]) -> None:
    (counts,) = parts
    assert counts.merge(zeros_like(counts)) == counts == zeros_like(counts).merge(counts)
    assert counts.concat(zeros_like(counts, cases=0)) == counts == zeros_like(counts, cases=0).concat(counts)
    assert counts.concat() == counts


@given(kin(3))
@FEW
def test_merge_is_associative_and_commutative_and_leaves_its_operands(parts: list[Any]) -> None:
    a, b, c = parts
    before = copy.deepcopy(parts)
    merged = a.merge(b)
    assert merged == b.merge(a)
    assert merged.merge(c) == a.merge(b.merge(c))
    assert parts == before
    assert not any(array.flags.writeable for counts in (a, b, merged) for array in arrays_of(counts))
    if isinstance(a, LabelCounts) and not a.closed:
        assert merged.labels.tolist() == sorted({*a.labels.tolist(), *b.labels.tolist()})
    assert (merged.voxels == a.voxels + b.voxels).all()


@given(kin(3))
@FEW
def test_concat_keeps_the_cases_that_pooled_adds_up(parts: list[Any]) -> None:
    a, b, c = parts
    joined = a.concat(b, c)
    assert joined == a.concat(b).concat(c) == a.concat(b.concat(c))
    assert joined.num_cases == 3 * a.num_cases
    assert joined.pooled() == a.pooled().merge(b.pooled()).merge(c.pooled())
    assert joined.pooled().pooled() == joined.pooled()
    assert a.merge(b).pooled() == a.pooled().merge(b.pooled())
    for number, part in enumerate(parts):
        cases = range(number * a.num_cases, (number + 1) * a.num_cases)
        assert joined.cases(list(cases)).merge(zeros_like(part)) == joined.cases(slice(cases.start, cases.stop))
        if isinstance(part, LabelCounts):
            assert joined.cases(cases).one_vs_rest().select(part.labels.tolist()) == part.one_vs_rest()
        else:
            assert joined.cases(cases) == part


OPEN, CLOSED, OTHER = LabelCounts.zeros(), LabelCounts.zeros([0, 1]), LabelCounts.zeros([1, 0])
BINARY = BinaryCounts.zeros(["a", "b"])


@pytest.mark.parametrize("join", ["merge", "concat"])
@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (CLOSED, LabelCounts.zeros(3), r"differ in their labels: \[0, 1\] and \[0, 1, 2\]"),
        (CLOSED, OTHER, r"differ in their labels: \[0, 1\] and \[1, 0\]"),
        (LabelCounts.zeros(13), LabelCounts.zeros(14), r"\[0, 1, 2, 3, 4, … 13 labels … 12\]"),
        (CLOSED, OPEN, r"differ in kind: closed .* and open"),
        (OPEN, CLOSED, r"differ in kind: open .* and closed"),
        (CLOSED, LabelCounts.zeros([0, 1], weighted=True), "one is weighted by sample_weight, the other is not"),
        (BINARY, BinaryCounts.zeros(["b", "a"]), r"differ in their classes: \['a', 'b'\] and \['b', 'a'\]"),
        (BINARY, BinaryCounts.zeros(["a", "b"], weighted=True), "one is weighted by sample_weight, the other is not"),
        (CLOSED, BINARY, "expected LabelCounts, found BinaryCounts"),
        (BINARY, CLOSED, "expected BinaryCounts, found LabelCounts"),
    ],
)
def test_statistics_that_mean_different_things_do_not_join(join: str, left: Any, right: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(left, join)(right)


@pytest.mark.parametrize("counts", [OPEN, CLOSED, BINARY])
def test_merge_refuses_other_numbers_of_cases(counts: Counts) -> None:
    with pytest.raises(ValueError, match=r"there are 1 and 2 cases \(concat joins different cases\)"):
        counts.merge(zeros_like(counts, cases=2))
    assert counts.concat(zeros_like(counts, cases=2)).num_cases == 3


LENGTHS = st.integers(0, 40)


@st.composite
def maps(draw: Any, shape: st.SearchStrategy[Any] = LENGTHS, strange: bool = True) -> tuple[Any, Any, Any]:
    """Draw a true and a predicted label map, and weights that add up exactly; classes are often missing."""
    shape = draw(shape)
    values = draw(st.lists(st.sampled_from(VALUES), min_size=1, unique=True))
    true = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([*values, IGNORED])))
    pred = draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([*values, STRANGE] if strange else values)))
    return true, pred, draw(hnp.arrays(np.float64, shape, elements=EIGHTHS))


CLASSES = [5, 0, 2**40, -1, 1, 2]
STRICT: dict[str, Any] = {"labels": CLASSES, "ignore_index": IGNORED, "unknown": "count"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"ignore_index": [IGNORED, 1]}, STRICT])
@given(data=st.data())
@FEW
def test_counts_of_parts_merge_to_the_counts_of_the_whole(options: dict, weighted: bool, data: st.DataObject) -> None:
    true, pred, weight = data.draw(maps())
    mask = data.draw(hnp.arrays(bool, true.shape))
    cuts = sorted(data.draw(st.lists(st.integers(0, true.size), max_size=4)))

    def count(part: slice) -> LabelCounts:
        counts = count_labels(
            true[part], pred[part], mask=mask[part], sample_weight=weight[part] if weighted else None, **options
        )
        assert counts.voxels.sum() == true[part].size
        return counts

    whole = count(slice(None))
    parts = [count(slice(a, b)) for a, b in zip([0, *cuts], [*cuts, true.size], strict=True)]
    assert reduce(LabelCounts.merge, data.draw(st.permutations(parts))) == whole
    assert parts[0].concat(*parts[1:]).pooled() == whole
    assert whole.voxels[0, 2] == (~mask).sum()


def naive(true: Any, pred: Any, members: list[int], weight: Any) -> list[list[float]]:
    """Count the voxels of a region, sample by sample: TP, FP, FN, TN."""
    kept, in_true, in_pred = true != IGNORED, np.isin(true, members), np.isin(pred, members)
    masks = (in_true & in_pred, ~in_true & in_pred, in_true & ~in_pred, ~in_true & ~in_pred)
    return [(weight * (mask & kept)).sum(1).tolist() for mask in masks]


@pytest.mark.parametrize("weighted", [False, True])
@given(data=st.data())
@FEW
def test_regions_and_one_vs_rest_are_counts_of_masks(weighted: bool, data: st.DataObject) -> None:
    true, pred, weight = data.draw(maps(st.tuples(st.integers(1, 3), st.integers(0, 20))))
    options = {"sample_weight": weight} if weighted else {}
    counts = count_labels(true, pred, sample_axis=0, **STRICT, **options)
    members = st.lists(st.sampled_from(CLASSES), min_size=1, max_size=6)
    regions = data.draw(st.dictionaries(st.sampled_from(["tumour", "core", 3]), members))
    for binary, groups in ((counts.regions(regions), regions), (counts.one_vs_rest(), {v: [v] for v in CLASSES})):
        assert binary.classes == tuple(groups)
        assert (binary.voxels == counts.voxels).all()
        for column, group in enumerate(groups.values()):
            found = [a[:, column].tolist() for a in (binary.tp, binary.fp, binary.fn, binary.tn)]
            assert found == naive(true, pred, group, weight if weighted else 1)


def test_what_no_voxel_contributes_to_is_zero_whatever_the_weights_round_to() -> None:
    counts = count_labels([0, 0, 1], [0, 1, 0], sample_weight=[0.1, 0.2, 0.3])
    for binary in (counts.one_vs_rest(), counts.regions({"0": [0], "1": [1]})):
        found = np.array([binary.tp[0], binary.fp[0], binary.fn[0], binary.tn[0]])
        assert found == pytest.approx(np.array([[0.1, 0], [0.3, 0.2], [0.2, 0.3], [0, 0.1]]), rel=1e-15, abs=0)


def test_sums_of_labels_are_not_for_writing() -> None:
    for array in LabelCounts.from_dict(count_labels([0, 1], [1, 1]).to_dict()).marginals:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_regions_refuse_what_the_counts_do_not_have() -> None:
    with pytest.raises(ValueError, match=r"regions: 'a' names \[7, 9\], which are not among the labels .*\[0, 1\]"):
        CLOSED.regions({"a": [9, 0, 7]})
    with pytest.raises(ValueError, match="expected at least one label for 'a', found none"):
        CLOSED.regions({"a": []})
    seen = count_labels([0, 1], [1, 1])
    assert seen.regions({"a": [1, 9], "b": [9]}).tp.tolist() == [[1, 0]]  # open counts: 9 did not occur
    assert seen.regions({}).tp.shape == (1, 0)


@pytest.mark.parametrize("closed", [False, True])
@given(data=st.data())
@FEW
def test_rename_is_counting_renamed_maps(closed: bool, data: st.DataObject) -> None:
    true, pred, _ = data.draw(maps(strange=False))
    mapping = data.draw(st.dictionaries(st.sampled_from(VALUES), st.sampled_from([*VALUES, 9])))
    order = list(dict.fromkeys(mapping.get(label, label) for label in CLASSES))
    counts = count_labels(true, pred, ignore_index=IGNORED, labels=CLASSES if closed else None)
    before, after = (np.array(side) for side in ([*VALUES, IGNORED], [*(mapping.get(v, v) for v in VALUES), IGNORED]))
    true, pred = ((labels[..., None] == before) @ after for labels in (true, pred))
    assert counts.rename(mapping) == count_labels(true, pred, ignore_index=IGNORED, labels=order if closed else None)


def test_rename_swaps_and_unites_at_once() -> None:
    counts = count_labels([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 3, 2, 3], num_classes=3, unknown="count")
    swapped = counts.rename({0: 1, 1: 0})
    assert swapped.labels.tolist() == [1, 0, 2]
    assert (swapped.matrix == counts.matrix).all()
    united = counts.rename({2: 0})
    assert united.labels.tolist() == [0, 1]
    assert united.matrix.tolist() == [[[3, 1], [0, 1]]]
    assert united.unknown.tolist() == [[1, 1]]
    assert (united.voxels == counts.voxels).all()


@given(maps(), st.lists(st.sampled_from(CLASSES), unique=True, min_size=1))
@FEW
def test_select_is_counting_with_the_other_labels_ignored(maps: Any, kept: list[int]) -> None:
    true, pred, _ = maps
    others = [IGNORED, *set(CLASSES) - set(kept)]
    expected = count_labels(true, pred, labels=kept, ignore_index=others, unknown="count")
    assert count_labels(true, pred, **STRICT).select(kept) == expected


def test_select_and_binary_helpers() -> None:
    for labels, message in (([1, 1], "each label once"), ([1, 9], r"\[9\] are not among the labels of the counts")):
        with pytest.raises(ValueError, match=message):
            CLOSED.select(labels)
    with pytest.raises(ValueError, match="select needs unweighted counts"):
        LabelCounts.zeros(2, weighted=True).select([0])
    masks = count_masks([[1, 0], [1, 1], [0, 0]], [[1, 1], [0, 1], [0, 0]], classes=["a", "b"])
    assert masks.select(["b"]).tp.tolist() == [[1]]
    assert masks.select(["b", "a"]).fn.tolist() == [[0, 1]]
    assert masks.rename({"a": 4}).classes == (4, "b")
    assert [a.tolist() for a in (masks.summed().tp, masks.summed().tn)] == [[[2]], [[2]]]
    with pytest.raises(ValueError, match=r"\['c'\] are not among \['a', 'b'\]"):
        masks.select(["c"])
    with pytest.raises(ValueError, match=r"expected a name for each class, found \['b', 'b'\]"):
        masks.rename({"a": "b"})


@given(kin(1, floats=FLOATS))
@FEW
def test_round_trips_are_exact(parts: list[Any]) -> None:
    (counts,) = parts
    text = json.dumps(counts.to_dict(), allow_nan=False)
    data = counts.to_bytes()
    bytes_of = [type(counts).from_bytes(each) for each in (data, bytearray(data), memoryview(data))]
    for again in (type(counts).from_dict(json.loads(text)), *bytes_of):
        assert again == counts
        assert not any(array.flags.writeable for array in arrays_of(again))
    assert counts != LabelCounts.zeros(9)
    assert counts != 3


@pytest.mark.parametrize(("kind", "other"), [(LabelCounts, BINARY), (BinaryCounts, CLOSED)])
def test_data_of_another_format_or_version_are_refused(kind: Any, other: Counts) -> None:
    own = {"format": f"fastseg.{kind.__name__}"}
    for data in (other.to_dict(), {**own, "version": 2}, own, {}, [1], None):
        with pytest.raises(ValueError, match=f"data: expected format 'fastseg.{kind.__name__}', version 1; found"):
            kind.from_dict(data)
    with pytest.raises(TypeError, match="^data: expected bytes, found int"):
        kind.from_bytes(5)
    for text in (b"", b"{", b"\xff\xfe", b"not json"):
        with pytest.raises(ValueError, match=f"expected counts written by {kind.__name__}.to_bytes, found no JSON"):
            kind.from_bytes(text)


def test_shapes_must_fit() -> None:
    table, row, voxels = np.zeros((1, 2, 2), np.int64), np.zeros((1, 2), np.int64), np.zeros((1, 4), np.int64)
    for wrong in ((table[0], row, voxels), (table, row[:, :1], voxels), (table, row, voxels[:, :3])):
        with pytest.raises(ValueError, match=r"matrix, unknown, voxels: expected shapes \(\(.*, found \(\("):
            LabelCounts(np.arange(2), True, *wrong)
    with pytest.raises(ValueError, match=r"tp, fp, fn, tn: expected shape \(1, 2\) \(cases, classes\), found"):
        BinaryCounts(("a", "b"), row, row, row[:, :1], row, voxels)
    with pytest.raises(TypeError, match="unhashable"):
        hash(CLOSED)
