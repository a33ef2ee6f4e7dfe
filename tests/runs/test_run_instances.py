"""Instances of a run: counted with the labels, kept by the journal, compared case by case."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.instance_cases import lesions

import fastseg
from fastseg import match_instances
from fastseg.counting import files
from fastseg.runs import Run
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.results.instance_statistics import instance_summaries
from fastseg.runs.results.instances import INSTANCE_METRICS

CASES = 6


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return folders of true masks, and of two predictions: the second finds no small lesions."""
    true, pred = lesions()
    draw = np.random.default_rng(0)
    for n in range(CASES):
        shift = int(draw.integers(0, 3))
        worse = pred * (np.arange(24)[None, :, None] >= 3 + n)
        for side, mask in (("true", true), ("good", np.roll(pred, shift, 2)), ("worse", np.roll(worse, shift, 2))):
            (tmp_path / side).mkdir(exist_ok=True)
            np.save(tmp_path / side / f"{n}.npy", mask * 2)
    return tmp_path / "true", tmp_path / "good", tmp_path / "worse"


def matched(folders: Any, n: int, **options: Any) -> Any:
    true, pred = (np.load(folder / f"{n}.npy") for folder in folders)
    return match_instances(true, pred, region=2, **options)


def test_labels_and_instances_come_from_one_read(two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    aligned = files.open_aligned
    monkeypatch.setattr(files, "open_aligned", lambda *a, **k: (opened.append(1), aligned(*a, **k))[1])
    run = fastseg.evaluate_folder(*two[:2], tmp_path / "out", instances="2", min_voxels=5, threads=1)
    assert len(opened) == CASES
    assert run.instances is not None
    wanted = [matched(two[:2], n, min_voxels=5) for n in range(CASES)]
    assert run.instances.values("detection_f1")[:, 0] == pytest.approx([each.f1 for each in wanted])
    assert run.instances.values("missed")[:, 0].tolist() == [each.fn for each in wanted]
    assert run.instances.pooled("detection_recall") == pytest.approx(
        [sum(each.tp for each in wanted) / sum(each.tp + each.fn for each in wanted)]
    )
    assert len(run.instances.rows or ()) == sum(len(each.rows()) for each in wanted)
    again = fastseg.evaluate_folder(*two[:2], tmp_path / "out", instances="2", min_voxels=5, threads=1)
    assert len(opened) == CASES  # the journal has them
    assert str(again) == str(run)
    loaded = Run.load(tmp_path / "out")
    assert loaded.instances is not None
    assert loaded.instances.rows == run.instances.rows
    fastseg.evaluate_folder(*two[:2], tmp_path / "out", instances="2", min_voxels=6, threads=1)
    assert len(opened) == 2 * CASES
    fastseg.evaluate_folder(*two[:2], tmp_path / "out", threads=1)
    assert not (tmp_path / "out" / "instances.csv").exists()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_of_instances_are_rows_of_the_tables(two: Any, tmp_path: Path) -> None:
    for side in two[:2]:
        np.save(side / "3.npy", np.zeros((4, 5, 6), int))
    out, regions = tmp_path / "out", {"any": [1, 2], "lone": [2]}
    run = fastseg.evaluate_folder(*two[:2], out, regions=regions, instances=["any", "2"], metrics=["dice"])
    found = run.instances
    assert found is not None
    single = fastseg.evaluate_folder(*two[:2], instances=2, metrics=["dice"]).instances
    assert single is not None
    np.testing.assert_array_equal(single.sums, found.sums[:, 1:])
    cases = {(row["case"], row["class"], row["metric"]): row for row in table(out / "cases.csv")}
    assert len(cases) == CASES * (2 + 2 * len(INSTANCE_METRICS))
    for name in INSTANCE_METRICS:
        for n, value in enumerate(found.values(name)[:, 1]):
            row, there = cases[str(n), "2", name], not np.isnan(value)
            assert row["label"] == "2"
            volume = "the volume of a voxel is not known" if name.endswith("_ml") else ""
            assert row["reason"] == ("" if there else volume or "no instance in reference and prediction")
            assert float(row["value"] or "nan") == pytest.approx(value, nan_ok=True)
    assert cases["0", "any", "missed"]["label"] == "(1, 2)"
    assert cases["0", "any", "missed"]["value"] == f"{matched(two[:2], 0).fn}"
    classes = {(row["class"], row["metric"]): row for row in table(out / "classes.csv")}
    assert len(classes) == 3 + 3 * len(INSTANCE_METRICS)
    values = found.values("detection_f1")
    row = classes["any", "detection_f1"]
    assert float(row["pooled"]) == found.pooled("detection_f1")[0]
    assert float(row["mean"]) == pytest.approx(np.nanmean(values[:, 0]))
    assert float(row["median"]) == pytest.approx(np.nanmedian(values[:, 0]))
    assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
    assert (row["defined"], row["cases"], classes["any", "dice"]["pooled"]) == (f"{CASES - 1}", f"{CASES}", "")
    mean = classes["mean", "detection_f1"]
    assert float(mean["mean"]) == pytest.approx(np.nanmean(np.delete(values, 3, 0).mean(1)))
    assert (float(mean["pooled"]), mean["over"]) == (found.mean("detection_f1"), "cases of means over regions")
    missed = classes["2", "missed"]
    assert float(missed["pooled"]) == found.values("missed")[:, 1].sum() == pytest.approx(CASES * float(missed["mean"]))
    # The interval is that of the mean of what was drawn.
    draws = np.random.default_rng(0).integers(0, CASES, (2000, CASES))
    ends = np.quantile(found.values("missed")[:, 1][draws].mean(1), [0.025, 0.975])
    assert [float(missed[end]) for end in ("low", "high")] == pytest.approx(ends)
    one = fastseg.evaluate_folder(*two[:2], pattern=r"(?P<case>0)\.npy", instances="2", metrics=["dice"])
    assert [row.low for row in instance_summaries(one)] == pytest.approx([np.nan] * len(INSTANCE_METRICS), nan_ok=True)
    assert instance_summaries(fastseg.evaluate_folder(*two[:2])) == []


def test_volumes_and_numbers_of_all_instances(two: Any, tmp_path: Path) -> None:
    """Of each case those of its matching; of all cases their sum."""
    for side in two[:2]:
        (tmp_path / f"{side.name}-mm").mkdir()
        for n in range(CASES):
            image = nibabel.Nifti1Image(np.load(side / f"{n}.npy").astype(np.uint8), np.diag([2, 1, 1.5, 1]))
            image.to_filename(tmp_path / f"{side.name}-mm" / f"{n}.nii.gz")
    files, out = [tmp_path / f"{side.name}-mm" for side in two[:2]], tmp_path / "out"
    gates = ["false_positive_ml=99", "2:false_negative_ml=0.01", "count_difference=100"]
    run = fastseg.evaluate_folder(*files, out, instances=2, convention="autopet", gates=gates)
    wanted = [matched(two[:2], n, convention="autopet", spacing=(2, 1, 1.5)) for n in range(CASES)]
    again = Run.load(out)
    for name in ("false_positive_ml", "false_negative_ml", "volume_difference_ml", "count_difference"):
        values = [getattr(each, name) for each in wanted]
        assert sum(values) > 0
        for each in (run, again):
            assert each.instances is not None
            assert each.instances.values(name)[:, 0] == pytest.approx(values)
            assert each.instances.scores("2")[name] == each.instances.mean(name) == pytest.approx(sum(values))
        row = next(row for row in table(out / "classes.csv") if row["metric"] == name)
        assert [float(row[key]) for key in ("mean", "pooled")] == pytest.approx([np.mean(values), sum(values)])
    assert [each["passed"] for each in run.facts["gates"]] == [True, False, True]
    better = compare_runs(run, run, metrics=["false_positive_ml"]).metrics["false_positive_ml"][0].better
    assert better == "lower"
    unknown = fastseg.evaluate_folder(
        *two[:2], instances=2, gates=["false_negative_ml=0"]
    )  # of files without a spacing
    assert "false_negative_ml is undefined, the volume of a voxel is not known" in unknown.facts["gates"][0]["message"]
    empty = [row for row in table(out / "cases.csv") if row["metric"] == "count_difference"]
    assert [row["value"] for row in empty] == [f"{each.count_difference}" for each in wanted]


def test_surfaces_and_instances_beside_each_other(two: Any) -> None:
    run = fastseg.evaluate_folder(*two[:2], metrics=["dice", "hd95"], spacing=1, instances=["2"], match="brats-met")
    wanted = matched(two[:2], 1, convention="brats-met")
    assert run.instances is not None
    assert run.instances.values("lesion_dice")[1, 0] == pytest.approx(wanted.instance_dice)
    assert np.isfinite(run.values("hd95")[:, 1:]).all()


def test_comparison(two: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"instances": ["2"], "metrics": ["dice"]}
    one, other = (fastseg.evaluate_folder(two[0], pred, tmp_path / f"{pred.name}-out", **options) for pred in two[1:])
    found = compare_runs(tmp_path / "good-out", tmp_path / "worse-out")
    assert list(found.metrics) == ["dice", "detection_f1", "panoptic_quality", "instance_dice"]
    assert one.instances is not None
    assert other.instances is not None
    row, mean = found.metrics["detection_f1"]
    a, b = (run.instances.values("detection_f1")[:, 0] for run in (one, other))
    assert (row.name, row.n, mean.name) == ("2", CASES, "mean")
    assert row.mean_a == pytest.approx(a.mean())
    assert row.difference == pytest.approx((b - a).mean())
    assert row.pooled_a == pytest.approx(one.instances.pooled("detection_f1")[0])
    assert row.losses == (b < a).sum() > 0
    assert row.low <= row.difference <= row.high
    assert found.settings["instances"]["criterion"] == "iou"
    only = compare_runs(one, other, metrics=["missed", "pq"])
    assert list(only.metrics) == ["missed", "panoptic_quality"]
    assert only.metrics["missed"][0].better == "lower"
    assert not compare_runs(one, other).alike
    assert compare_runs(one, one).alike
    unlike = fastseg.evaluate_folder(*two[:2], instances=["2"], match="iou>0.3", metrics=["dice"])
    assert list(compare_runs(one, unlike).metrics) == ["dice"]
    with pytest.raises(
        ValueError, match=r"'pq' is of instances, .* found match iou > 0.5, greedy and iou > 0.3, greedy"
    ):
        compare_runs(one, unlike, metrics="pq")
    as_said = fastseg.evaluate_folder(two[0], two[2], instances=["2"], match="IoU > 0.50", metrics=["dice"])
    assert compare_runs(one, as_said, metrics="pq").metrics["panoptic_quality"][1].n == CASES
    without = fastseg.evaluate_folder(*two[:2], metrics=["dice"])
    with pytest.raises(ValueError, match="matched in the same way; found none in one of them"):
        compare_runs(one, without, metrics="pq")
    assert "detection_f1 (higher is better)" in str(found)
    assert found.to_csv().count("detection_f1") == 2
    assert str(found).count("(background left out)") == 1  # of the mean over classes, not of that over regions


def test_what_is_ignored_is_no_instance(two: Any, tmp_path: Path) -> None:
    true, pred = (np.load(folder / "0.npy") for folder in two[:2])
    for side, labels in (("a", true), ("b", pred)):
        (tmp_path / side).mkdir()
        labels[12:15, 18:21, 18:] = 9 if side == "a" else labels[12:15, 18:21, 18:]
        np.save(tmp_path / side / "0.npy", labels)
    found = [
        fastseg.evaluate_folder(tmp_path / "a", tmp_path / "b", instances="2", ignore=ignore) for ignore in ([], [9])
    ]
    invented = [run.instances.pooled("invented")[0] for run in found if run.instances is not None]
    assert invented[0] == invented[1] + 1


def test_a_missing_prediction_misses_all(two: Any, tmp_path: Path) -> None:
    (two[1] / "3.npy").unlink()
    run = fastseg.evaluate_folder(*two[:2], tmp_path / "out", instances="2", missing="worst")
    assert run.instances is not None
    assert run.instances.values("detection_f1")[3, 0] == 0
    assert run.instances.values("missed")[3, 0] == matched((two[0], two[0]), 3).tp
    with (tmp_path / "out" / "instances.csv").open(encoding="utf-8", newline="") as file:
        assert {row["kind"] for row in csv.DictReader(file) if row["case"] == "3"} == {"missed"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match": "iou>0.5"}, "match: expected instances= beside it"),
        ({"instances": []}, "instances: expected labels or names"),
        ({"instances": "2", "connectivity": 5}, "connectivity: expected one of 4, 6, 8, 18, 26, found 5"),
        ({"instances": "2", "min_ml": -1}, "min_ml: expected a finite number that is not negative"),
        ({"instances": "2", "match": "best"}, "match: expected a rule such as"),
        ({"instances": "2", "match": 0.5}, "match: expected a rule in words, such as 'iou>0.5', .* found 0.5"),
        ({"instances": 2.5}, "instances: expected labels or names, .* found 2.5"),
        ({"instances": "2", "gates": ["3:pq=1"]}, "gate: there is no class '3'"),
    ],
)
def test_what_is_refused(two: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fastseg.evaluate_folder(*two[:2], **options)


def test_names_that_files_give_to_labels(tmp_path: Path) -> None:
    """As TotalSegmentator's do, in an extension of the header."""
    table = '<Label Key="1">organ</Label><Label Key="2">tumour</Label>'
    text = f"<CaretExtension><VolumeInformation><LabelTable>{table}</LabelTable></VolumeInformation></CaretExtension>"
    for side, mask in zip(("true", "pred"), lesions(), strict=True):
        (tmp_path / side).mkdir()
        image = nibabel.Nifti1Image(mask * np.uint8(2), np.eye(4))
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
        image.to_filename(tmp_path / side / "a.nii.gz")
    files, how = (tmp_path / "true", tmp_path / "pred"), {"metrics": "dice,lesion_hd95"}
    run = fastseg.evaluate_folder(*files, instances="tumour", gates=["tumour:missed=9"], **how)
    plain = fastseg.evaluate_folder(*files, instances="2", **how)
    assert run.instances is not None
    assert plain.instances is not None
    assert run.instances.regions == {"tumour": (2,)}
    assert run.instances.sums.tolist() == plain.instances.sums.tolist()
    with pytest.raises(ValueError, match=r"instances: expected labels or names of labels or regions \(organ, tumour\)"):
        fastseg.evaluate_folder(*files, instances="lung")
    gates, tolerance = ["tumour:dice=0.9", "tumour:hd95=9"], {"tumour": 2.5, None: 0.1}
    run = fastseg.evaluate_folder(*files, metrics="dice,hd95,nsd", tolerance=tolerance, gates=gates)
    assert [each["value"] for each in run.facts["gates"]] == [run.values(name)[0, 1] for name in ("dice", "hd95")]
    plain = fastseg.evaluate_folder(*files, metrics="nsd", tolerance=2.5)
    assert run.values("nsd")[0, 1] == plain.values("nsd")[0, 1]
    with pytest.raises(ValueError, match="gate: there is no class 'lung'; expected a label or one of: organ"):
        fastseg.evaluate_folder(*files, gates=["lung:dice=0.9"])
