"""Metrics of partitions of folders and of two files: segments of any number, kept so that nothing is counted again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.saved_pairs import saved_pairs

from fastseg import Run, count_pairs, evaluate_files, evaluate_folder, merge_runs, metrics
from fastseg.report import write_report
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.results.gates import check_gates, parse_gate
from fastseg.runs.scoring.records import CaseRecord

VOI = ["variation_of_information", "variation_of_information_split", "variation_of_information_merge"]
METRICS = ["variation_of_information", "rand_index"]


def maps(seed: int) -> tuple[Any, Any]:
    """Return segments of ten voxels, more of them than a matrix has room for, with large ids."""
    true = np.repeat(np.arange(6000) + 10**15, 10).reshape(60, 1000)
    pred = true - 10**15
    pred[np.random.default_rng(seed).random(pred.shape) < 0.1] += 1
    return true, pred


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    both = saved_pairs(tmp_path, maps)
    (tmp_path / "true" / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "cell": 1}}))
    return both


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_the_numbers_are_those_of_the_pairs(folders: Any, tmp_path: Path, counted: list[str]) -> None:
    out = tmp_path / "out"
    run = evaluate_folder(*folders, out, metrics=METRICS, ignore=10**15)
    assert run.failed == ()
    assert run.settings.metrics == (*VOI, "rand_index")
    expected = [count_pairs(*maps(seed), ignore_index=10**15) for seed in range(3)]
    for name, values in (
        ("variation_of_information_split", [metrics.variation_of_information(pairs).split[0] for pairs in expected]),
        ("rand_index", [metrics.rand_index(pairs)[0] for pairs in expected]),
    ):
        np.testing.assert_array_equal(run.values(name)[:, 0], values)
        assert run.mean(name) == pytest.approx(np.mean(values))
    assert f"rand_index: {run.mean('rand_index'):.4f} [" in str(run)
    assert "3 of 3 cases scored; convention: fastseg" in str(run)
    assert sum(run.values(name)[1, 0] for name in VOI[1:]) == pytest.approx(run.values(VOI[0])[1, 0])
    assert not (out / "summary.json").exists()
    rows = {(row["case"], row["metric"]): row for row in table(out / "cases.csv")}
    assert float(rows["2", "rand_index"]["value"]) == run.values("rand_index")[2, 0]
    assert {row["class"] for row in table(out / "classes.csv")} == {"all"}
    told = json.loads((out / "run.json").read_text())
    assert told["mean"]["rand_index"]["value"] == run.mean("rand_index")
    again = Run.load(out)
    np.testing.assert_array_equal(again.values("rand_index"), run.values("rand_index"))

    counted.clear()  # other metrics and another convention are of the same pairs
    more = evaluate_folder(*folders, out, metrics="adapted_rand_error", convention="cremi", ignore=10**15)
    assert counted == []
    errors = [metrics.adjusted_rand_error(pairs, convention="cremi").error[0] for pairs in expected]
    np.testing.assert_array_equal(more.values("adjusted_rand_error")[:, 0], errors)
    assert str(more).endswith("convention: cremi")
    assert json.loads((out / "run.json").read_text())["convention"]["name"] == "cremi"


def test_the_report_has_no_confusion_and_no_pictures(folders: Any, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    run = evaluate_folder(*folders, tmp_path / "out", metrics=METRICS)
    write_report(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "There is no confusion of classes: the labels of segments mean nothing" in page
    assert "pictures are of classes; these are segments" in page
    assert f"{run.mean('rand_index'):.4f}" in page


def test_two_files_are_one_case(folders: Any) -> None:
    files = [folder / "1.npy" for folder in folders]
    run = evaluate_folder(*files, metrics="rand_index", convention="sklearn")
    assert run.values("rand_index").tolist() == [metrics.rand_index(count_pairs(*maps(1))).tolist()]
    with pytest.raises(ValueError, match="'rand_index' is made of the pairs of labels that occur"):
        evaluate_files(*files, metrics="rand_index")


def test_shards_are_merged_compared_and_gated(folders: Any, tmp_path: Path) -> None:
    for k in (1, 2):
        evaluate_folder(*folders, tmp_path / f"part{k}", metrics=METRICS, shard=(k, 2))
    merged = merge_runs([tmp_path / "part1", tmp_path / "part2"], tmp_path / "all")
    whole = evaluate_folder(*folders, metrics=METRICS, gates=["rand_index=0.9", "variation_of_information=0.1"])
    np.testing.assert_array_equal(merged.values("rand_index"), whole.values("rand_index"))
    assert [gate["passed"] for gate in whole.facts["gates"]] == [True, False]
    assert check_gates(whole, [parse_gate("variation_of_information_merge<=9")])[0].passed
    better = evaluate_folder(folders[0], folders[0], metrics=METRICS)
    rows = compare_runs(whole, better).rows
    assert [(row.metric, row.wins, row.name) for row in rows] == [(name, 3, "all") for name in (*VOI, "rand_index")]


def test_labels_of_2_to_the_63_fail_their_case(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([1, 2**63], np.uint64))
    np.save(tmp_path / "p.npy", np.array([1, 2]))
    run = evaluate_folder(tmp_path / "t.npy", tmp_path / "p.npy", metrics="rand_index")
    assert run.failed[0].reason is not None
    assert run.failed[0].reason.startswith("true: expected labels below 2**63 in the results of a run")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"metrics": ["rand_index", "dice"]},
            "'rand_index' is of segments whose labels mean nothing, and 'dice' of classes",
        ),
        ({"convention": "nnunet"}, "convention: expected one of partitions, fastseg, skimage"),
        ({"metrics": "dice", "convention": "cremi"}, "'cremi' is of metrics of partitions"),
        ({"num_classes": 3}, "labels: of classes, which partitions have none of"),
        ({"regions": {"a": [1]}}, "regions: of classes"),
        ({"background": True}, "background: of classes"),
        ({"unknown": "count"}, "unknown: of classes"),
        ({"activation": "softmax"}, "activation: of classes"),
        ({"instances": "1"}, "instances: of classes"),
        ({"missing": "worst"}, "missing: rand_index has no worst value"),
        ({"spacing": 1}, "spacing: of metrics of surfaces"),
        ({"gates": ["dice=0.9"]}, "gate: dice is of classes, and this run scores rand_index"),
        (
            {"metrics": "dice", "gates": ["rand_index=0.9"]},
            "gate: rand_index is of partitions, and this run scores dice",
        ),
        ({"masks": True}, "is made of the segments of label maps, and not of masks"),
    ],
)
def test_what_is_refused(folders: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        evaluate_folder(*folders, **{"metrics": "rand_index", **options})


def test_records_of_many_pairs_are_short_and_come_back() -> None:
    pairs = count_pairs(*maps(0))
    record = CaseRecord.with_pairs(pairs, id="a", status="scored", reference="t", prediction="p")
    line = record.to_json()
    assert len(line) < 6 * len(record.pairs)
    assert np.array_equal(CaseRecord.from_json(line).pairs, record.pairs)
    few = CaseRecord.with_pairs(count_pairs([1, 1], [2, 3]), id="a", status="scored", reference="t", prediction="p")
    assert '"pairs":[[1,2,1],[1,3,1]]' in few.to_json()
    with pytest.raises(ValueError, match="data: expected"):
        CaseRecord.from_json(line.replace('"rows":', '"rows":1'))
