"""Lesions on the command line, of two files and of folders."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call
from support.instance_cases import lesions
from support.volumes_on_disk import write

from fastseg import match_instances
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.instances import INSTANCE_CONVENTIONS, parse_match
from fastseg.runs import Run

AFFINE = np.array([[2.0, 0, 0, 10], [0, 1, 0, -5], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.fixture
def lesion_pair(tmp_path: Path) -> tuple[Path, Path]:
    """Lesions are label 2, and what is label 1 is none."""
    paths = []
    for name, mask in zip(("true", "pred"), lesions(), strict=True):
        labels = mask * 2
        labels[0, 0] = 1
        paths.append(write(tmp_path / f"{name}.nii.gz", labels, AFFINE))
    (tmp_path / "names.txt").write_text("0 background\n1 organ\n2 tumour\n")
    return paths[0], paths[1]


def table(out: str) -> dict[str, str]:
    """Return the cells of the table of instances, of its only row."""
    header, _, row = out.strip().splitlines()[-3:]
    return dict(zip(header.replace("lesion Dice", "lesion-Dice").split(), row.split(), strict=True))


def test_two_files(lesion_pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    options = "--labels", tmp_path / "names.txt", "--instances", "tumour", "--connectivity", 26, "--match", "iou>0.5"
    code, out, err = call(capsys, monkeypatch, "evaluate", *lesion_pair, *options)
    assert (code, err) == (0, "")
    assert "organ" in out.splitlines()[3]  # the scores of voxels stand above
    wanted = match_instances(*lesions(), connectivity=26)
    found = table(out)
    assert found["instances"] == "tumour"
    assert [int(found[name]) for name in ("found", "missed", "invented")] == [wanted.tp, wanted.fn, wanted.fp]
    assert float(found["PQ"]) == pytest.approx(wanted.panoptic_quality, abs=1e-4)
    assert float(found["lesion-Dice"]) == pytest.approx(wanted.instance_dice, abs=1e-4)
    brats = table(call(capsys, monkeypatch, "evaluate", *lesion_pair, "--instances", 2, "--match", "brats-met")[1])
    spaced = match_instances(*lesions(), convention="brats-met", spacing=(2, 1, 1))
    assert (brats["found"], brats["lesion-Dice"]) == (str(spaced.tp), f"{spaced.instance_dice:.4f}")


def test_a_line_for_each_instance(lesion_pair: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = "--instances", "lesion", "--regions", "lesion=2", "-o", out, "--quiet"
    assert call(capsys, monkeypatch, "evaluate", *lesion_pair, *options)[:2] == (0, "")
    with (out / "instances.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = match_instances(*lesions(), connectivity=26)
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("matched", "missed", "invented")] == [wanted.tp, wanted.fn, wanted.fp]
    missed = [row for row in rows if row["kind"] == "missed" and float(row["centroid_0"]) == 12.5 * 2 + 10]
    assert [(row["case"], row["region"], row["pred"], row["true_ml"]) for row in missed] == [
        ("true", "lesion", "", "0.016")
    ]
    assert [float(missed[0][f"centroid_{k}"]) for k in (1, 2)] == pytest.approx([2.5 - 5, 2.5])
    assert [missed[0][f"box_{end}_{k}"] for k in range(3) for end in ("start", "stop")] == [
        "12",
        "14",
        "2",
        "4",
        "2",
        "4",
    ]
    told = json.loads((out / "run.json").read_text(encoding="utf-8"))["instances"]
    assert told["scores"]["lesion"]["f1"] == pytest.approx(wanted.f1)
    assert told["regions"] == {"lesion": [2]}


def test_folders_count_all_instances_together(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    for side, mask in zip(("true", "pred"), lesions(), strict=True):
        (tmp_path / side).mkdir()
        write(tmp_path / side / "a.nii.gz", mask)
        write(tmp_path / side / "=b.nii.gz", mask[:, :12] if side == "true" else mask[:, :12] * 0)
    options = "--instances", "1", "-o", tmp_path / "out"
    code, out, _ = call(capsys, monkeypatch, "evaluate", tmp_path / "true", tmp_path / "pred", *options)
    assert code == 0
    a, b = match_instances(*lesions(), connectivity=26), match_instances(lesions()[0][:, :12], lesions()[1][:, :12] * 0,
                                                                         connectivity=26)  # fmt: skip
    found = table(out)
    assert [int(found[name]) for name in ("found", "missed", "invented")] == [a.tp, a.fn + b.fn, a.fp]
    assert "'=b" in (tmp_path / "out" / "instances.csv").read_text()  # no formula of a spreadsheet
    (tmp_path / "pred" / "=b.nii.gz").unlink()
    left_out = call(capsys, monkeypatch, "evaluate", tmp_path / "true", tmp_path / "pred", "--instances", "1",
                    "--missing", "skip")[1]  # fmt: skip
    worst = call(capsys, monkeypatch, "evaluate", tmp_path / "true", tmp_path / "pred", "--instances", "1",
                 "--missing", "worst")[1]  # fmt: skip
    assert [table(each)["missed"] for each in (left_out, worst)] == [str(a.fn), str(a.fn + b.fn)]


def test_a_run_tells_of_its_instances(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    """And all else of it is as without them, byte for byte."""
    for side, mask in zip(("true", "pred"), lesions(), strict=True):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", mask)
    out, files = tmp_path / "out", (tmp_path / "true", tmp_path / "pred")
    assert call(capsys, monkeypatch, "evaluate", *files, "-o", out, "--quiet")[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    options = "--instances", 1, "--match", "centre", "--connectivity", 6, "--min-voxels", 2, "-o", out, "--quiet"
    assert call(capsys, monkeypatch, "evaluate", *files, *options)[0] == 0
    found = json.loads((out / "run.json").read_text("utf-8"))
    wanted = match_instances(*lesions(), criterion="centre", connectivity=6, min_voxels=2)
    told = found["instances"]
    assert {name: told["rule"][name] for name in ("criterion", "connectivity", "min_voxels", "convention")} == {
        "criterion": "centre", "connectivity": 6, "min_voxels": 2, "convention": "fastseg",
    }  # fmt: skip
    assert [told["scores"]["1"][name] for name in ("matched", "missed", "invented")] == [
        wanted.tp,
        wanted.fn,
        wanted.fp,
    ]
    assert told["scores"]["1"]["panoptic_quality"] == pytest.approx(wanted.panoptic_quality)
    assert told["sha256"] == hashlib.sha256((out / "instances.csv").read_bytes()).hexdigest()
    written = (out / "run.json").read_bytes()
    Run.load(out).save(out)
    assert (out / "run.json").read_bytes() == written
    plain = json.loads(before.pop("run.json"))
    del before["records.jsonl"]  # the journal
    for each in (found, plain):
        del each["times"], each["cases"][0]["key"]
    del found["instances"], found["settings"]["instances"]
    own = found["cases"][0].pop("instances")
    assert own == {"1": {"tp": wanted.tp, "fp": wanted.fp, "fn": wanted.fn, "iou": pytest.approx(wanted.tally.iou.sum()),
                         "dice": pytest.approx(wanted.tally.dice.sum()),
                         "totals": {"false_positive_ml": None, "false_negative_ml": None, "volume_difference_ml": None,
                                    "count_difference": wanted.count_difference}}}  # fmt: skip
    assert found == plain
    for name in ("cases.csv", "classes.csv"):
        lines, own = (out / name).read_text("utf-8").splitlines(), before.pop(name).decode().splitlines()
        assert lines[: len(own)] == own or [f"{line}," for line in own[1:]] == lines[1 : len(own)]
        assert [("detection_f1" in line) for line in lines[len(own) :]].count(True) == 1
    assert {name: (out / name).read_bytes() for name in before} == before
    (out / "run.json").write_bytes(written.replace(b'"instances": {\n  "rule"', b'"lesions": {\n  "rule"'))
    with pytest.raises(ValueError, match=r"expected a run that fastseg wrote; found a run without what is said of its"):
        Run.load(out)


def test_a_case_that_cannot_be_read_is_said(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    for side in ("true", "pred"):
        (tmp_path / side).mkdir()
        for name in "ab":
            np.save(tmp_path / side / f"{name}.npy", np.eye(4, dtype=int))
    np.save(tmp_path / "pred" / "b.npy", np.eye(3, dtype=int))
    code, out, err = call(capsys, monkeypatch, "evaluate", tmp_path / "true", tmp_path / "pred", "--instances", "1")
    assert code == 3
    assert "error: b: " in err
    assert table(out)["found"] == "1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--match", "iou>0.5"], "--match: expected --instances beside it"),
        (["--instances", "1", "--match", "iou=0.5"], "--match: expected a rule such as 'iou>0.5'"),
        (["--instances", "1", "--match", "f1>0.5"], "--match: expected 'iou', "),
        (["--instances", "lung"], "--instances: expected labels or names of labels or regions (a label), found 'lung'"),
        (["--instances", "1", "--connectivity", "8"], "--connectivity: expected 6 or 18 or 26 of maps with 3 axes"),
    ],
)
def test_wrong_usage(options: list[str], message: str, lesion_pair: Any, capsys: Any, monkeypatch: Any) -> None:
    code, _, err = call(capsys, monkeypatch, "evaluate", *lesion_pair, *options)
    assert code in (2, 3)
    assert message.removeprefix("--connectivity: ") in err


@pytest.mark.parametrize("name", [*INSTANCE_CONVENTIONS])
def test_a_convention_says_when_instances_match(name: str, lesion_pair: Any, capsys: Any, monkeypatch: Any) -> None:
    """But that of metrics of voxels as well, which stays what it is."""
    base = "evaluate", *lesion_pair, "--instances", 2
    found = table(call(capsys, monkeypatch, *base, "--convention", name)[1])
    assert found == table(call(capsys, monkeypatch, *base, *(() if name in CONVENTIONS else ("--match", name)))[1])
    if name not in CONVENTIONS:
        matching = match_instances(*lesions(), region=1, convention=name, spacing=(2, 1, 1))
        assert [int(found[each]) for each in ("found", "missed", "invented")] == [matching.tp, matching.fn, matching.fp]
    assert call(capsys, monkeypatch, "evaluate", *lesion_pair, "--convention", name)[0] == (
        0 if name in CONVENTIONS else 2
    )


def test_a_rule_goes_before_that_of_a_convention(lesion_pair: Any, capsys: Any, monkeypatch: Any) -> None:
    base = "evaluate", *lesion_pair, "--instances", 2
    wanted = match_instances(*lesions(), 0.8, criterion="iou", strict=True, connectivity=26, convention="isles")
    for options in (("--convention", "isles", "--match", "iou>0.8"), ("--match", "ISLES iou>0.8")):
        found = table(call(capsys, monkeypatch, *base, *options)[1])
        assert [int(found[each]) for each in ("found", "missed", "invented")] == [wanted.tp, wanted.fn, wanted.fp]
    assert wanted.tp < match_instances(*lesions(), convention="isles").tp
    code, _, err = call(capsys, monkeypatch, *base, "--convention", "isles", "--match", "brats")
    assert (code, "--match: expected a rule beside the convention 'isles', found 'brats'" in err) == (2, True)
    code, _, err = call(capsys, monkeypatch, *base, "--match", "isles brats")
    assert (code, "--match: expected one convention, found 'isles brats'" in err) == (2, True)
    code, _, err = call(capsys, monkeypatch, *base[:3], "--convention", "isles")
    assert (code, "'isles' is of instances, which are matched where" in err) == (2, True)


def test_a_convention_of_ids(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    """Whose other metrics are those of partitions, of which it is none."""
    true, pred = np.zeros((2, 8, 8), int)
    true[:4, :4], pred[:4, :2], pred[6:, 6:] = 300, 7, 9
    for name, ids in (("true", true), ("pred", pred)):
        np.save(tmp_path / f"{name}.npy", ids)
    base = "evaluate", tmp_path / "true.npy", tmp_path / "pred.npy", "--instances", "ids"
    for name, found in (("stardist", "1"), ("panoptica", "1"), ("monai", "0")):
        code, out, err = call(capsys, monkeypatch, *base, "--convention", name)
        assert (code, err) == (0, "")
        assert table(out)["found"] == found
    assert call(capsys, monkeypatch, *base, "--convention", "autopet")[0] == 2


def test_options_of_components(lesion_pair: Any, capsys: Any, monkeypatch: Any) -> None:
    base = "evaluate", *lesion_pair, "--instances", 2
    for option, value, wanted in (
        ("--min-ml", 0.02, {"min_ml": 0.02, "spacing": (2, 1, 1)}),
        ("--min-voxels", 10, {"min_voxels": 10}),
        ("--dilation", 1, {"dilation": 1, "criterion": "overlap", "threshold": 0}),
    ):
        more = ("--match", "overlap>0") if option == "--dilation" else ()
        found = table(call(capsys, monkeypatch, *base, option, value, *more)[1])
        matching = match_instances(*lesions(), connectivity=26, **wanted)
        assert [int(found[name]) for name in ("found", "missed", "invented")] == [
            matching.tp, matching.fn, matching.fp,
        ], option  # fmt: skip


def test_gates(lesion_pair: Any, capsys: Any, monkeypatch: Any) -> None:
    base = "evaluate", *lesion_pair, "--instances", "2", "--quiet"
    wanted = match_instances(*lesions(), connectivity=26)
    for gate, passed in {
        f"detection_f1={wanted.f1:.3f}": wanted.f1 >= round(wanted.f1, 3),
        "2:pq=0.01": True,
        "pq=0.99": False,
        f"2:missed={wanted.fn}": True,
        f"matched={wanted.tp}": True,
        f"matched={wanted.tp + 1}": False,
        f"invented={wanted.fp - 1}": False,
        "lesion_dice<=0.1": None,
    }.items():
        code, _, err = call(capsys, monkeypatch, *base, "--fail-under", gate)
        assert code == (2 if passed is None else 0 if passed else 1), (gate, err)
    code, _, err = call(capsys, monkeypatch, *base, "--fail-under", "organ:pq=0.5")
    assert code == 2
    assert "there is no class 'organ'; expected one of: 2" in err
    code, _, err = call(capsys, monkeypatch, *base[:3], "--fail-under", "pq=0.5")
    assert code == 2
    assert "pq is of instances, which are matched where they are asked for (instances=, --instances)" in err


def test_json_has_instances(lesion_pair: Any, capsys: Any, monkeypatch: Any) -> None:
    out = call(capsys, monkeypatch, "evaluate", *lesion_pair, "--instances", "2", "--json", "-")[1]
    told = json.loads(out)["instances"]
    assert told["scores"]["2"]["panoptic_quality"] == pytest.approx(
        match_instances(*lesions(), connectivity=26).panoptic_quality
    )
    assert told["rule"]["criterion"] == "iou"


def test_rules_in_words() -> None:
    assert parse_match(" IoU > 0.5 ") == {"criterion": "iou", "strict": True, "threshold": 0.5}
    assert parse_match("dice≥1e-6") == {"criterion": "dice", "strict": False, "threshold": 1e-6}
    assert parse_match("overlap>=1") == {"criterion": "overlap", "strict": False, "threshold": 1.0}
    assert parse_match("intersection over reference > 0.2")["criterion"] == "intersection_over_reference"
    assert parse_match("BraTS") == {"convention": "brats"}
    assert parse_match("autopet IoU >= 0.1")["convention"] == "autopet"
    with pytest.raises(ValueError, match="match: expected a number after '>', found '1.2.3'"):
        parse_match("iou>1.2.3")
