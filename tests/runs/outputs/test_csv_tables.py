"""What a run leaves for other programs: nnU-Net's summary, and tables."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from support.example_runs import ALL_FAILED, EMPTY, HOSTILE, REGIONS, example, hostile, pair, record, rows

from fastseg.runs import Run, Settings
from fastseg.runs.outputs.csv_tables import cases_csv, classes_csv
from fastseg.runs.outputs.summary_json import summary

# --- summary.json


def read_as_nnunet(data: bytes) -> dict[str, Any]:
    """Read a summary as nnU-Net's tools do: by json, keys as labels or tuples of labels."""

    def key(text: str) -> int | tuple[int, ...]:
        try:
            return int(text)
        except ValueError:
            return tuple(int(part) for part in text.replace("(", "").replace(")", "").split(","))

    found = json.loads(data)
    found["mean"] = {key(name): value for name, value in found["mean"].items()}
    for case in found["metric_per_case"]:
        case["metrics"] = {key(name): value for name, value in case["metrics"].items()}
    return dict(found)


def naive(true: np.ndarray, pred: np.ndarray, labels: tuple[int, ...], ignore: int | None) -> dict[str, float]:
    used = np.ones(true.shape, bool) if ignore is None else true != ignore
    ref, found = np.isin(true, labels), np.isin(pred, labels)
    tp, fp, fn, tn = (int((a & b & used).sum()) for a in (ref, ~ref) for b in (found, ~found))
    fp, fn = fn, fp  # the order above is tp, fn, fp, tn
    empty = tp + fp + fn == 0
    dice = math.nan if empty else 2 * tp / (2 * tp + fp + fn)
    iou = math.nan if empty else tp / (tp + fp + fn)
    return {"Dice": dice, "IoU": iou, "TP": tp, "FP": fp, "FN": fn, "TN": tn, "n_pred": tp + fp, "n_ref": tp + fn}


@pytest.mark.parametrize("regions", [{}, REGIONS])
@pytest.mark.parametrize("ignore", [None, 2])
@pytest.mark.parametrize("convention", ["fastseg", "monai", "sklearn"])
def test_the_summary_is_nnunets(regions: dict[str, tuple[int, ...]], ignore: int | None, convention: str) -> None:
    pairs = [pair(seed, labels) for seed, labels in enumerate([4, 2, 4, 3, 1] * 3)]
    options: dict[str, Any] = {} if ignore is None else {"ignore_index": ignore}
    records = tuple(record(f"{n:02}", *p, range(6), **options) for n, p in enumerate(pairs))
    run = Run(Settings(labels=tuple(range(6)), regions=regions, convention=convention), records)
    found = read_as_nnunet(summary(run))
    keys = {1: (1,), (1, 2, 3): (1, 2, 3), (2, 3): (2, 3)} if regions else {k: (k,) for k in range(1, 6)}
    assert list(found) == ["foreground_mean", "mean", "metric_per_case"]
    assert set(found["mean"]) == set(keys)
    assert [case["reference_file"] for case in found["metric_per_case"]] == [f"gt/{n:02}" for n in range(15)]
    assert [case["prediction_file"] for case in found["metric_per_case"]] == [f"pred/{n:02}" for n in range(15)]
    expected = [{key: naive(*p, of, ignore) for key, of in keys.items()} for p in pairs]
    for case, wanted in zip(found["metric_per_case"], expected, strict=True):
        for key in keys:
            np.testing.assert_equal(case["metrics"][key], wanted[key])
            assert all(type(case["metrics"][key][name]) is int for name in ("TP", "FP", "FN", "TN", "n_pred", "n_ref"))
            assert list(case["metrics"][key]) == sorted(wanted[key])
    means = {}
    for key in keys:
        columns = {name: np.array([case[key][name] for case in expected], float) for name in expected[0][key]}
        means[key] = {n: math.nan if np.isnan(c).all() else float(np.nanmean(c)) for n, c in columns.items()}
        np.testing.assert_equal(found["mean"][key], means[key])
        assert all(type(value) is float for value in found["mean"][key].values())
    wanted = {name: float(np.mean([mean[name] for mean in means.values()])) for name in means[next(iter(keys))]}
    for name, value in found["foreground_mean"].items():  # the order of the classes is that of the dataset, sums round
        assert value == pytest.approx(wanted[name], rel=1e-15, nan_ok=True)
    assert math.isnan(found["foreground_mean"]["Dice"]) == (not regions)  # nobody has class 5, nor 4


def test_the_summarys_text_is_that_of_nnunets_json() -> None:
    run = Run(Settings(labels=(0, 1)), (record("a", [0, 0, 1], [0, 1, 1], (0, 1)),))
    assert summary(run).decode().splitlines()[:14] == [
        "{", '    "foreground_mean": {', '        "Dice": 0.6666666666666666,', '        "FN": 0.0,', '        "FP": 1.0,',
        '        "IoU": 0.5,', '        "TN": 1.0,', '        "TP": 1.0,', '        "n_pred": 2.0,', '        "n_ref": 1.0',
        "    },", '    "mean": {', '        "1": {', '            "Dice": 0.6666666666666666,',
    ]  # fmt: skip
    assert b'"(1, 2, 3)": {' in summary(example(regions=REGIONS))
    assert b"NaN" in summary(example())
    for each in (run, example(), example(regions=REGIONS), hostile()):
        text = summary(each).decode()
        assert text == json.dumps(json.loads(text), sort_keys=True, indent=4)


def test_a_summary_of_nothing() -> None:
    for run in (EMPTY, ALL_FAILED):
        found = json.loads(summary(run))
        assert (found["mean"], found["metric_per_case"]) == ({}, [])
        assert all(math.isnan(value) for value in found["foreground_mean"].values())


def test_an_unknown_prediction_is_a_miss_and_a_failed_case_is_left_out() -> None:
    cases = json.loads(summary(example()))["metric_per_case"]
    assert [case["reference_file"] for case in cases] == ["gt/a", "gt/b", "gt/e", "gt/f"]
    worst = cases[2]
    assert worst["prediction_file"] == ""
    assert {k: worst["metrics"]["1"][k] for k in ("Dice", "FN", "TP", "TN", "n_pred", "n_ref")} == {
        "Dice": 0.0, "FN": 1, "TP": 0, "TN": 3, "n_pred": 0, "n_ref": 1,
    }  # fmt: skip


# --- tables


def test_every_number_of_every_case_is_a_row() -> None:
    run = example(metrics=("dice", "recall", "precision", "accuracy"))
    table = rows(cases_csv(run))
    assert list(table[0]) == ["case", "class", "label", "metric", "value", "reason"]
    found = {(row["case"], row["label"], row["metric"]): row for row in table}
    assert len(found) == len(table) == 4 * (4 * 3 + 1) + 2 + 3
    ids = [each.id for each in run.counted]
    for metric in ("dice", "recall", "precision"):
        for n, k in itertools.product(range(4), range(4)):
            row, value = found[ids[n], str(k), metric], run.values(metric)[n, k]
            assert row["class"] == {1: "liver", 3: "'=cmd"}.get(k, str(k))
            assert (row["value"] == "") == math.isnan(value) == (row["reason"] != "")
            assert row["value"] == "" or float(row["value"]) == value
    assert found["b", "3", "dice"]["reason"] == "absent from reference and prediction"
    assert found["b", "2", "recall"]["reason"] == "absent from reference"
    assert found["e", "1", "precision"]["value"] == "0.0"  # scored as the worst possible
    assert found["e", "2", "precision"]["reason"] == "absent from reference and prediction"
    assert found["a", "", "accuracy"]["class"] == found["a", "", "soft_dice"]["class"] == "all"
    assert found["a", "", "soft_dice"]["value"] == "0.30000000000000004"
    assert (found["a", "", "cross_entropy"]["value"], found["a", "", "cross_entropy"]["reason"]) == ("", "undefined")
    assert found["c", "", ""]["reason"] == "not a gzipped file"
    assert found["d", "", ""]["reason"] == "no prediction"
    assert found["e", "", ""]["reason"] == "no prediction; scored as the worst possible"
    order = [row["case"] for row in table]
    assert order == sorted(order)


def test_what_a_convention_leaves_undefined_is_said() -> None:
    everything = record("a", [1, 1], [1, 1], (0, 1))
    table = rows(cases_csv(Run(Settings(labels=(0, 1), metrics=("specificity",)), (everything,))))
    assert [row["reason"] for row in table] == ["", "undefined under convention fastseg"]


def test_every_summary_is_a_row() -> None:
    from fastseg.runs.results.statistics import summarise

    run = example(metrics=("dice", "accuracy"), resamples=20)
    data = classes_csv(run, summarise(run))
    assert data == classes_csv(run)
    table = rows(data)
    assert list(table[0]) == (
        [
            "metric",
            "class",
            "label",
            "mean",
            "median",
            "std",
            "q1",
            "q3",
            "min",
            "max",
            "low",
            "high",
            "defined",
            "cases",
            "over",
        ]
    )
    assert [(row["metric"], row["class"], row["label"]) for row in table] == [
        ("dice", "0", "0"), ("dice", "liver", "1"), ("dice", "2", "2"), ("dice", "'=cmd", "3"), ("dice", "mean", ""),
        ("accuracy", "all", ""), ("soft_dice", "all", ""), ("cross_entropy", "all", ""),
    ]  # fmt: skip
    assert [row["over"] for row in table if row["over"]] == ["classes (background left out) of means over cases"]
    for row, wanted in zip(table, summarise(run), strict=True):
        for name in ("mean", "std", "low", "high", "defined", "cases"):
            value = getattr(wanted, name)
            assert row[name] == "" if math.isnan(value) else float(row[name]) == value
    assert {row["cases"] for row in table} == {"4"}


def test_a_region_is_named_by_its_labels() -> None:
    table = rows(cases_csv(example(regions=REGIONS)))
    assert {(row["class"], row["label"]) for row in table if row["metric"]} >= {("whole", "(1, 2, 3)"), ("one", "(1,)")}


def test_no_text_is_a_formula() -> None:
    table = rows(cases_csv(hostile()))
    for column in ("case", "class"):
        cells = list(dict.fromkeys(row[column] for row in table))
        for text, cell in zip(HOSTILE, cells, strict=False):
            core = cell.lstrip(" \ufeff\u200b")
            assert core[:1] not in set("=+@\t\r＝＋－＠"), cell
            assert core[:1] != "-" or cell == text == "-1"
            assert cell.removeprefix("'") == text or cell == text or "\\" in cell
    assert len({row["case"] for row in table}) == len(HOSTILE) + 1  # none have become the same
    assert table[-1] == {"case": "zz", "class": "", "label": "", "metric": "", "value": "", "reason": "'=1+1"}
    assert "\\udcff\\udc80" in {row["case"] for row in table}
    negative = Run(
        Settings(labels=(-1, 0), metrics=("relative_volume_difference",)),
        (record("a", [-1, -1, 0], [-1, 0, 0], (-1, 0)),),
    )
    found = rows(cases_csv(negative))[0]
    assert (found["class"], found["label"], found["value"]) == ("-1", "-1", "-0.5")


def test_the_tables_are_rfc_4180_with_line_feeds() -> None:
    data = cases_csv(hostile())
    assert not data.startswith(b"\xef\xbb\xbf")
    assert data.endswith(b"\n")
    assert b"\r\n" not in data
    assert b'"a\rb"' in data
    assert b'"say ""so"""' in data
    assert len({len(row) for row in csv.reader(io.StringIO(data.decode(), newline=""))}) == 1
    assert cases_csv(EMPTY) == b"case,class,label,metric,value,reason\n"


def test_pandas_reads_the_tables() -> None:
    pandas = pytest.importorskip("pandas")
    run = example()
    frame = pandas.read_csv(io.BytesIO(cases_csv(run)), dtype={"case": str, "class": str, "label": str})
    means = frame[frame["metric"] == "dice"].groupby("label")["value"].mean()
    np.testing.assert_allclose(means.to_numpy(), run.class_values("dice"))
