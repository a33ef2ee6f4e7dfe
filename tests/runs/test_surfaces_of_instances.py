"""Lesion-wise HD95 and surface Dice in runs: what `match_instances` measures of the same pair, with its penalties."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call
from support.instance_cases import PEERS, lesions
from support.volumes_on_disk import write

import fastseg
from fastseg import match_instance_files, match_instances
from fastseg.metrics import normalized_surface_dice
from fastseg.runs import Run
from fastseg.runs.comparison.compare import compare_runs

SPACING = (2.0, 1.0, 0.5)
AFFINE = np.diag([*SPACING, 1.0])
NAMES = "dice,lesion_hd95,lesion_nsd"


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Return folders of lesions of label 2: found in part, all missed, and none anywhere."""
    true, pred = lesions()
    for name, masks in {"a": (true, pred), "b": (true, pred * 0), "c": (true * 0, pred * 0)}.items():
        for side, mask in zip(("true", "pred"), masks, strict=True):
            (tmp_path / side).mkdir(exist_ok=True)
            write(tmp_path / side / f"{name}.nii.gz", mask * 2, AFFINE)
    return tmp_path / "true", tmp_path / "pred"


def nsd(found: Any, tolerance: float) -> float:
    return float(found.instance_distance(normalized_surface_dice, missed=0, tolerance=tolerance))


@pytest.mark.parametrize(
    ("match", "surface", "options"),
    [
        ("iou>0.3", None, {"threshold": 0.3}),
        ("brats", None, {"convention": "brats", "surface": "surfel"}),
        ("overlap>0", "surfel", {"criterion": "overlap", "threshold": 0, "surface": "surfel"}),
    ],
)
def test_they_are_what_a_pair_of_arrays_has(two: Any, match: str, surface: Any, options: dict[str, Any]) -> None:
    run = fastseg.evaluate_folder(
        *two, metrics=NAMES, tolerance=0.6, instances="2", match=match, surface=surface, resamples=2
    )
    assert run.instances is not None
    assert run.settings.metrics == ("dice",)
    options = {"surface": "voxel", "connectivity": 26, "spacing": SPACING, **options}
    true, pred = lesions()
    pairs = ((true, pred), (true, pred * 0), (true * 0, pred * 0))
    wanted = [match_instances(*pair, **options) for pair in pairs]
    found = {name: run.instances.values(name)[:, 0] for name in ("lesion_hd95", "instance_nsd")}
    assert found["lesion_hd95"] == pytest.approx([each.instance_distance() for each in wanted], nan_ok=True)
    assert found["instance_nsd"] == pytest.approx([nsd(each, 0.6) for each in wanted], nan_ok=True)
    assert found["lesion_hd95"][1] == 374
    assert found["instance_nsd"][1] == 0
    rows = [row for row in run.instances.rows or () if row["case"] == "a" and row["kind"] == "matched"]
    own = wanted[0]
    distances = fastseg.hd95(own.surfaces)[:, 0]
    for row in rows:
        (n,) = (k for k, each in enumerate(own.groups) if row["true"] in each.true and row["pred"] in each.pred)
        assert row["hd95_mm"] == distances[n]
    total = sum(each.tp + each.fp + each.fn for each in wanted)
    lost = sum(each.fp + each.fn for each in wanted)
    assert run.instances.pooled("instance_hd95")[0] == pytest.approx((distances.sum() + lost * 374) / total)


def test_nothing_at_all_is_as_the_convention_has_it() -> None:
    """Surface Dice of nothing is 1 where that of BraTS is, though its distance is 0."""
    nothing = np.zeros((4, 4, 4), bool)
    for convention, distance, overlap in (("brats", 0.0, 1.0), ("fastseg", np.nan, np.nan)):
        found = match_instances(nothing, nothing, convention=convention, surface="surfel", spacing=1)
        assert [found.instance_distance(), nsd(found, 1)] == pytest.approx([distance, overlap], nan_ok=True)


def test_the_convention_of_brats(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """The numbers that BraTS' own script had of this case, of voxels of 1 mm³."""
    paths = [write(tmp_path / f"{side}.nii.gz", m, np.eye(4)) for side, m in zip("tp", lesions(), strict=True)]
    wanted = PEERS["A"]["BraTS-2023 BraTS-GLI"]
    options = "--instances", "1", "--convention", "brats", "--metrics", "lesion_hd95", "-o", tmp_path / "out"
    code, out, err = call(capsys, monkeypatch, "evaluate", *paths, *options, "--fail-under", "lesion_hd95=400")
    assert code == 0
    assert "gate passed: lesion_hd95 is " in err
    told = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["instances"]
    scores = told["scores"]["1"]
    assert scores["instance_hd95"] == pytest.approx(wanted["LesionWise_Score_HD95"], rel=1e-6)
    assert scores["instance_dice"] == pytest.approx(wanted["LesionWise_Score_Dice"], rel=1e-6)
    assert told["rule"]["convention"] == "brats"
    assert told["rule"]["surfaces"]["penalty"] == 374
    header, _, row = out.strip().splitlines()[-3:]
    assert header.endswith("lesion HD95 mm")
    assert row.endswith(f"{scores['instance_hd95']:.4f}")


def test_tables_and_what_is_read_back(two: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"labels": {0: "nothing", 2: "tumour"}, "instances": ["tumour"], "resamples": 2}
    how = {"metrics": NAMES, "tolerance": {"tumour": 0.6}}
    run = fastseg.evaluate_folder(*two, out, **options, **how)
    assert run.instances is not None
    with (out / "cases.csv").open(encoding="utf-8", newline="") as file:
        cases = {(row["case"], row["metric"]): row for row in csv.DictReader(file) if row["class"] == "tumour"}
    values = run.instances.values("instance_hd95")[:, 0]
    for case, value in zip("abc", values, strict=True):
        row = cases[case, "instance_hd95"]
        assert float(row["value"] or "nan") == pytest.approx(value, nan_ok=True)
        assert row["unit"] == "mm"
        assert cases[case, "instance_nsd"]["unit"] == cases[case, "dice"]["unit"] == ""
    with (out / "classes.csv").open(encoding="utf-8", newline="") as file:
        classes = {row["metric"]: row for row in csv.DictReader(file) if row["class"] == "tumour"}
    assert float(classes["instance_hd95"]["mean"]) == pytest.approx(np.nanmean(values))
    assert float(classes["instance_hd95"]["pooled"]) == run.instances.pooled("lesion_hd95")[0]
    assert (classes["instance_hd95"]["unit"], classes["instance_hd95"]["infinite"]) == ("mm", "")
    loaded = Run.load(out)
    assert loaded.settings == run.settings
    assert loaded.instances is not None
    assert loaded.instances.rows == run.instances.rows
    assert str(loaded) == str(run)
    written = (out / "run.json").read_bytes()
    loaded.save(out)
    assert (out / "run.json").read_bytes() == written
    again = fastseg.evaluate_folder(*two, out, **options, **how)
    assert again.facts["times"]["scored"] == 0
    damaged = written.replace(b'"hd95_mm"', b'"hd95_cm"')
    (out / "run.json").write_bytes(damaged)
    with pytest.raises(ValueError, match="expected a run that fastseg wrote; found surfaces"):
        Run.load(out)


def test_another_penalty_measures_nothing_again(two: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {"metrics": "lesion_hd95", "instances": "2", "match": "iou>0.3", "resamples": 2}
    fastseg.evaluate_folder(*two, tmp_path / "out", **options)
    run = fastseg.evaluate_folder(*two, tmp_path / "out", penalty=50, **options)
    assert run.facts["times"]["scored"] == 0
    found = match_instances(*lesions(), 0.3, connectivity=26, spacing=SPACING, surface="voxel")
    assert run.instances is not None
    assert run.instances.values("lesion_hd95")[:2, 0] == pytest.approx([found.instance_distance(missed=50), 50])
    assert Run.load(tmp_path / "out").settings == run.settings


def test_comparison(two: Any) -> None:
    options: dict[str, Any] = {"instances": "2", "match": "iou>0.3", "resamples": 2}
    one = fastseg.evaluate_folder(*two, metrics="dice,instance_hd95", **options)
    other = fastseg.evaluate_folder(two[0], two[0], metrics="dice,lesion_hd95", **options)
    row = compare_runs(one, other).metrics["instance_hd95"][0]
    assert one.instances is not None
    a = one.instances.values("instance_hd95")[:2, 0]
    assert (row.better, row.n, row.mean_b) == ("lower", 2, 0)
    assert row.mean_a == pytest.approx(a.mean())
    plain = fastseg.evaluate_folder(*two, metrics="dice", **options)
    assert "instance_hd95" not in compare_runs(one, plain).metrics
    assert "panoptic_quality" in compare_runs(one, plain).metrics
    assert compare_runs(one, plain).alike
    with pytest.raises(ValueError, match="'lesion_hd95' is made of surfaces of instances, which both runs must have"):
        compare_runs(one, plain, metrics="lesion_hd95")


def test_files_that_say_no_spacing(tmp_path: Path) -> None:
    for side, mask in zip(("true", "pred"), lesions(), strict=True):
        np.save(tmp_path / f"{side}.npy", mask)
    files = tmp_path / "true.npy", tmp_path / "pred.npy"
    options: dict[str, Any] = {"metrics": "lesion_hd95", "instances": "1"}
    assert "expected a volume that says its spacing" in str(fastseg.evaluate_folder(*files, **options).failed[0].reason)
    given = fastseg.evaluate_folder(*files, **options, spacing=SPACING)
    wanted = match_instance_files(*files, region=1, surface="voxel", spacing=SPACING).instance_distance()
    assert given.instances is not None
    assert given.instances.mean("lesion_hd95") == wanted
    assert wanted == match_instances(*lesions(), region=1, surface="voxel", spacing=SPACING).instance_distance()
    brats = fastseg.evaluate_folder(*files, **options, match="brats")  # whose voxels are 1 mm³ then
    assert not brats.failed


def test_sheared_volumes_have_no_distances(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    paths = [write(tmp_path / f"{side}.nii.gz", m, sheared) for side, m in zip("tp", lesions(), strict=True)]
    with pytest.raises(ValueError, match=r"t\.nii\.gz: expected axes at right angles"):
        match_instance_files(*paths, region=1, surface="voxel")
    with pytest.raises(ValueError, match="expected axes at right angles"):
        match_instance_files(*paths, region=1, surface="voxel", convention="brats")
    assert match_instance_files(*paths, region=1, surface="voxel", spacing=1).surfaces is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "dice,lesion_hd95"}, "metrics: 'lesion_hd95' is of instances, which are matched where"),
        ({"metrics": "lesion_nsd", "instances": "2"}, "tolerance: instance_nsd needs one, a distance in mm"),
        ({"metrics": "lesion_hd95", "instances": "2", "tolerance": {"x": 1, None: 1}}, "tolerance: expected one of"),
        ({"metrics": "lesion_hd95", "instances": "2", "surface": "object"}, "surface: expected 'voxel', 'surfel'"),
        (
            {"metrics": "lesion_hd95", "instances": "2", "spacing": 0},
            "spacing: expected a finite number that is positive",
        ),
        ({"metrics": "lesion_hd95", "instances": "2", "border": "extend"}, "border: surfaces of single instances end"),
        (
            {"metrics": "lesion_hd95", "instances": "2", "convention": "mikan"},
            "convention: surfaces of single instances end",
        ),
        ({"metrics": "hd95,lesion_hd95", "instances": "2", "border": "extend"}, "border: surfaces of single instances"),
        ({"metrics": "lesion_hd95", "instances": "2", "convention": "simpleitk"}, "convention: 'simpleitk' has no"),
        ({"metrics": "lesion_hd95", "instances": "2", "penalty": -1}, "penalty: expected a finite number that is not"),
        ({"metrics": "lesion_nsd", "instances": "2", "penalty": 1}, "penalty: expected instance_hd95 among"),
        ({"metrics": "dice", "penalty": 1}, "penalty: expected instances= beside it"),
        ({"metrics": "lesion_hd95", "instances": "ids"}, "metrics: 'instance_hd95' is measured of components"),
        ({"metrics": "dice", "instances": "2", "gates": ["lesion_hd95=9"]}, "gate: lesion_hd95 is made of surfaces"),
        ({"metrics": "pq,lesion_hd95", "instances": "2", "gates": ["lesion_hd95>=9"]}, "gate: lower values of"),
    ],
)
def test_what_is_refused(two: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fastseg.evaluate_folder(*two, **options)
