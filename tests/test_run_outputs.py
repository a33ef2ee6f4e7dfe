"""What a run leaves in its folder: nnU-Net's summary, tables, the archive of matrices, run.json; whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import itertools
import json
import math
import os
import random
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg import count_labels
from fastseg.runs import CaseRecord, Run, Settings, atomic
from fastseg.runs.archive import confusion_npz, read_confusion
from fastseg.runs.outputs import FILES, read_run, run_to_dict, write_outputs
from fastseg.runs.summary_json import summary
from fastseg.runs.tables import cases_csv, classes_csv

HOSTILE = [
    '=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)", "\tcmd", "\rcmd", "  =1", "\ufeff=1", "＝1", "＋1",
    "－1", "＠A1", "a,b", 'say "so"', "two\nlines", "a\rb", "<script>", "\udcff\udc80", "日本", "''=1", "'=1", "-1",
    "-1e5", "\0", "\u200b+1",
]  # fmt: skip


def pair(seed: int, labels: int = 4, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, labels, size)
    return true, np.where(rng.random(size) < 0.7, true, rng.integers(0, labels, size))


def record(name: str, true: Any, pred: Any, labels: Any = (0, 1, 2, 3), **more: Any) -> CaseRecord:
    options = {k: more.pop(k) for k in ("ignore_index", "unknown") if k in more}
    counts = count_labels(np.asarray(true), np.asarray(pred), labels=labels, **options)
    values = {
        "reference": f"gt/{name}", "prediction": f"pred/{name}", "key": "k", "shape": (4, 5, 3),
        "spacing_mm": (0.7, None, 2.5), "voxel_ml": 1 / 3, "geometry": "equal",
        "inputs": {"reference": {"size": 7, "sha256": None}},
    }  # fmt: skip
    return CaseRecord.with_counts(counts, **{"id": name, "status": "scored", **values, **more})


def example(**settings: Any) -> Run:
    """A run of every kind of case: classes that are absent, probabilities, failures, missing predictions."""
    records = [
        record("a", *pair(0), scores={"soft_dice": 0.1 + 0.2, "cross_entropy": None}),
        record("b", [0, 0, 1, 1], [0, 2, 1, 0]),
        CaseRecord("c", "failed", "gt/c", "pred/c", reason="not a gzipped file"),
        CaseRecord("d", "missing", "gt/d", None),
        record("e", [0, 0, 1, 3], [9, 9, 9, 9], unknown="count", status="missing", prediction=None),
        record("f", *pair(5), ignore_index=2),
    ]
    options = {"labels": (0, 1, 2, 3), "names": {1: "liver", 3: "=cmd"}, "missing": "worst", **settings}
    facts = {"folders": ["gt", "pred"], "times": {"seconds": 1.5}}
    return Run(Settings(**options), tuple(records), facts)


def hostile() -> Run:
    names = dict(enumerate(HOSTILE))
    records = [record(name, *pair(n, 30), range(len(HOSTILE) + 5)) for n, name in enumerate(HOSTILE)]
    records.append(CaseRecord("zz", "failed", "gt/\udcff", "p", reason="=1+1"))
    return Run(Settings(labels=tuple(range(len(HOSTILE) + 5)), names=names), tuple(records))


EMPTY = Run(Settings(), ())
ALL_FAILED = Run(Settings(labels=(0, 1)), (CaseRecord("c", "failed", "gt/c", None, reason="x"),))
REGIONS = {"whole": (1, 2, 3), "core": (2, 3), "one": (1,), "back": (0,)}


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def plain(run: Run) -> Any:
    return run.settings, [each.to_json() for each in run.records]


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
    from fastseg.runs.statistics import summarise

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


# --- confusion.npz


def test_the_archive_holds_every_matrix() -> None:
    run = example()
    found = read_confusion(confusion_npz(run))
    assert found.ids == ("a", "b", "e", "f")
    assert found.labels.tolist() == [0, 1, 2, 3]
    assert found.closed
    for n, each in enumerate(run.counted):
        np.testing.assert_array_equal(found.pairs[n], each.pairs)
        np.testing.assert_array_equal(found.unknown[n], each.unknown)
        assert tuple(found.voxels[n].tolist()) == each.voxels
    assert found.unknown[2].tolist() == [[0, 2], [1, 1], [3, 1]]
    with np.load(io.BytesIO(confusion_npz(run)), allow_pickle=False) as arrays:
        assert arrays["pairs"].shape == (sum(map(len, found.pairs)), 3)
        first, last = arrays["id_starts"][2:4]
        assert arrays["ids"][first:last].tobytes().decode() == "e"


@pytest.mark.parametrize("run", [EMPTY, ALL_FAILED, hostile()], ids=["empty", "failed", "hostile"])
def test_the_archive_of_odd_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(confusion_npz(run))
    found = read_confusion(tmp_path / "x.npz")
    assert found.ids == tuple(each.id for each in run.counted)
    assert found.closed == (run.settings.labels is not None)


def test_the_archives_bytes_do_not_depend_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = confusion_npz(example())
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2040, 1, 1, 1, 1, 1, 0, 1, 0))
    assert confusion_npz(example()) == before
    with zipfile.ZipFile(io.BytesIO(before)) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_archive_that_numpy_wrote_is_read_too() -> None:
    data = confusion_npz(example())
    again = read_confusion(changed(data))
    assert again.sha256 == read_confusion(data).sha256 != read_confusion(confusion_npz(hostile())).sha256


def changed(data: bytes, **arrays: Any) -> bytes:
    with np.load(io.BytesIO(data)) as found:
        everything = {name: array for name, array in {**found, **arrays}.items() if array is not None}
    stream = io.BytesIO()
    np.savez(stream, **everything)
    return stream.getvalue()


def broken_archives() -> dict[str, tuple[bytes, str]]:
    data = confusion_npz(example())
    with np.load(io.BytesIO(data)) as found:
        good = dict(found)
    pairs, voxels, unknown = good["pairs"], good["voxels"], good["unknown"]
    first = len(good["starts"]) and int(good["starts"][1])
    doubled = pairs.copy()
    doubled[1] = [*pairs[0, :2], pairs[1, 2]]
    negative = np.concatenate([pairs[:, :2], -pairs[:, 2:]], 1)
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<i8", "fortran_order": False, "shape": (10**15, 3)})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in good:
            archive.writestr(f"{name}.npy", huge.getvalue() if name == "pairs" else b"")
    return {
        "nothing": (b"", "BadZipFile"),
        "text": (b"no archive", "BadZipFile"),
        "other members": (changed(data, more=np.zeros(1)), "members"),
        "one missing": (changed(data, closed=None), "members"),
        "version": (changed(data, version=np.array(2)), "version 1; found version 2"),
        "objects": (changed(data, labels=np.array([{}])), "labels: object"),
        "floats": (changed(data, pairs=pairs.astype(float)), "pairs: float64"),
        "narrow": (changed(data, pairs=pairs[:, :2]), "pairs: int64 of shape"),
        "no space": (stream.getvalue(), "found ValueError"),
        "labels twice": (changed(data, labels=np.array([0, 1, 1, 2, 3])), "each label once"),
        "label gone": (changed(data, labels=np.array([0, 1, 2])), "pairs of its labels"),
        "falling": (changed(data, starts=good["starts"][::-1].copy()), "starts of 4 cases, rising from 0"),
        "starts short": (changed(data, unknown_starts=good["unknown_starts"][:-1]), "unknown_starts of 4 cases"),
        "starts far": (changed(data, starts=good["starts"] + [0, 0, 0, 0, 1]), "starts of 4 cases"),
        "starts empty": (changed(data, starts=np.zeros(0, np.int64)), "starts of 4 cases"),
        "pair twice": (changed(data, pairs=doubled), "sorted, each once"),
        "unsorted": (changed(data, pairs=np.concatenate([pairs[:first][::-1], pairs[first:]])), "sorted, each once"),
        "negative": (changed(data, pairs=negative), "pairs that occur"),
        "sums": (
            changed(data, voxels=voxels + 1),
            "pairs that add up to the voxels of each case; found others in 4 of 4",
        ),
        "unknown sums": (
            changed(data, unknown=unknown + [[0, 1]]),
            "unknown that add up .* found others in 1 of 4 cases",
        ),
        "negative voxels": (changed(data, voxels=voxels - [0, 50, 50, 0]), "negative ones"),
        "id twice": (changed(data, ids=np.frombuffer(b"aabf", np.uint8)), "each case once"),
        "id no text": (changed(data, ids=np.frombuffer(b"a\xffbf", np.uint8)), "UnicodeDecodeError"),
    }


@pytest.mark.parametrize("kind", broken_archives())
def test_an_archive_that_contradicts_itself_is_refused(kind: str) -> None:
    data, message = broken_archives()[kind]
    with pytest.raises(ValueError, match=f"this.npz: expected .*{message}"):
        read_confusion(data, "this.npz")


# --- write_outputs, read_run


@pytest.mark.parametrize(
    "run",
    [
        example(), example(regions=REGIONS, background=True, map_prediction={7: 1}), example(convention="sklearn"),
        Run(Settings(), example().records, {"fastseg": "0.0.1", "machine": {"python": "3"}, "times": {}}), hostile(), EMPTY,
        ALL_FAILED,
    ],
    ids=["example", "regions", "sklearn", "open", "hostile", "empty", "failed"],
)  # fmt: skip
def test_a_run_is_read_as_it_was_written(run: Run, tmp_path: Path) -> None:
    write_outputs(run, tmp_path / "new" / "folder")
    found = read_run(tmp_path / "new" / "folder")
    assert plain(found) == plain(run)
    assert [type(each.pairs) for each in found.records] == [np.ndarray] * len(run.records)
    for each, wanted in zip(found.records, run.records, strict=True):
        for field in fields(each):
            a, b = getattr(each, field.name), getattr(wanted, field.name)
            assert type(a) is type(b), field.name
    np.testing.assert_array_equal(found.labels, run.labels)
    assert {**found.facts, **run.facts} == found.facts
    for metric in run.settings.metrics:
        np.testing.assert_array_equal(found.values(metric), run.values(metric))
    write_outputs(found, tmp_path / "again")
    assert sorted(os.listdir(tmp_path / "again")) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "new" / "folder" / name).read_bytes(), name


def test_only_times_and_the_machine_differ_between_two_runs(tmp_path: Path) -> None:
    run = example()
    write_outputs(run, tmp_path / "1")
    write_outputs(
        replace(run, facts={**run.facts, "times": {"seconds": 7}, "machine": {"python": "4"}}), tmp_path / "2"
    )
    for name in FILES[:-1]:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    one, two = (json.loads((tmp_path / folder / "run.json").read_bytes()) for folder in "12")
    assert one["times"] != two["times"]
    assert {**one, "times": 0, "machine": 0} == {**two, "times": 0, "machine": 0}


def test_run_json_says_all_the_rest(tmp_path: Path) -> None:
    run = example(metrics=("dice", "accuracy"), convention="nnunet", labels=(0, 1, 2, 3, 7))
    write_outputs(replace(run, facts={**run.facts, "path": Path("x"), "nan": math.nan, "n": np.int64(3)}), tmp_path)
    found = json.loads((tmp_path / "run.json").read_bytes(), parse_constant=pytest.fail)
    assert found["format"] == "fastseg.run"
    assert found["version"] == 1
    assert found["settings"] == json.loads(json.dumps(run.settings.to_dict()))
    assert found["convention"]["name"] == "nnunet"
    assert set(found["convention"]) == {"name", "description", "verified", "source"}
    undefined = int(np.isnan(run.values("dice")).sum())
    assert found["counts"] == {
        "expected": 6, "scored": 3, "failed": 1, "missing": 2, "counted": 4, "undefined": undefined,
    }  # fmt: skip
    total = np.sum([each.voxels for each in run.counted], 0).tolist()
    assert found["voxels"] == dict(zip(("counted", "ignored", "outside_mask", "unknown"), total, strict=True))
    assert found["mean"] == {
        "dice": {"value": None, "reason": "undefined under convention nnunet"},
        "accuracy": {"value": run.mean("accuracy"), "reason": None},
    }
    assert [case["id"] for case in found["cases"]] == list("abcdef")
    assert "pairs" not in found["cases"][0]
    assert found["facts"] == {"folders": ["gt", "pred"], "path": "x", "nan": None, "n": 3}
    plain = json.loads(json.dumps(run_to_dict(run), allow_nan=False))
    table = rows(classes_csv(run))
    assert [each["name"] for each in plain["classes"]] == [row["class"].removeprefix("'") for row in table]
    assert [each["mean"] is None for each in plain["classes"]] == [row["mean"] == "" for row in table]
    assert {**plain, "facts": 0, "confusion": 0} == {**found, "facts": 0, "confusion": 0, "classes": plain["classes"]}
    write_outputs(EMPTY, tmp_path)
    assert json.loads((tmp_path / "run.json").read_bytes())["mean"]["dice"]["reason"] == "no case was scored"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_outputs(example(), tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["run.json", "confusion.npz"])
def test_a_truncated_run_is_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    whole = len(data.rstrip()) if name == "run.json" else len(data)
    for size in {*range(0, whole, max(1, whole // 150)), *range(40), *range(whole - 40, whole)}:
        (folder / name).write_bytes(data[:size])
        with pytest.raises(ValueError, match=name):
            read_run(folder)


@pytest.mark.parametrize("name", ["run.json", "confusion.npz"])
def test_a_damaged_run_raises_value_error_or_nothing(folder: Path, name: str) -> None:
    data, chance = (folder / name).read_bytes(), random.Random(0)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(damaged)
        try:
            read_run(folder)
        except ValueError as error:
            assert str(folder) in str(error)


def places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Yield the path of every value in what JSON holds."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


def test_a_run_with_a_value_of_another_kind_raises_value_error_or_nothing(folder: Path) -> None:
    text = (folder / "run.json").read_text()
    refused = 0
    for n, path in enumerate(places(json.loads(text))):
        for wrong in (None, [], {}, "x", 10**30, -1.5, [[1]], "delete")[n % 3 :: 3]:
            found: Any = {"": json.loads(text)}
            owner, last = found, ""
            for key in path:
                owner, last = owner[last], key
            owner[last] = wrong
            if wrong == "delete":
                del owner[last]
            (folder / "run.json").write_text(json.dumps(found.get("", 0)))
            try:
                read_run(folder)
            except ValueError:
                refused += 1
    assert refused > 200


def test_what_is_wrong_with_a_run_is_said(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    with pytest.raises(ValueError, match="run.json: expected a file of a run; there is none"):
        read_run(other)
    with pytest.raises(ValueError, match="run.json: expected a file of a run; there is none"):
        read_run(folder / "run.json")
    good = json.loads((folder / "run.json").read_bytes())
    for change, message in [
        ({"format": "nnunet"}, r"format 'fastseg.run', version 1; found \('nnunet', 1\)"),
        ({"version": 2}, r"found \('fastseg.run', 2\)"),
        ({"settings": {**good["settings"], "convention": "mine"}}, "convention 'mine', of fastseg, monai"),
        ({"settings": {**good["settings"], "metrics": ["mine"]}}, "found 'mine'|found metrics.*'mine'"),
        ({"settings": {**good["settings"], "labels": ["0"]}}, "labels that are no integers"),
        ({"settings": {**good["settings"], "later": 1}}, "settings that this version does not have"),
        ({"settings": {**good["settings"], "labels": [0, 1, 2, 3, 4]}}, "other labels than in confusion.npz"),
        ({"cases": good["cases"][1:]}, "other cases than in confusion.npz"),
        ({"cases": [*good["cases"][:2], *good["cases"][3:]]}, "counts"),
        ({"cases": [{**good["cases"][0], "voxels": [1, 0, 0, 0]}, *good["cases"][1:]]}, "other voxels for case 'a'"),
        ({"cases": [{**good["cases"][0], "status": "lost"}, *good["cases"][1:]]}, "a case 'a' of status 'lost'"),
        ({"cases": [{**good["cases"][0], "reference": 1}, *good["cases"][1:]]}, "reference.*int"),
        ({"times": []}, "facts that are no object"),
    ]:
        (folder / "run.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=f"run.json: expected .*(?:{message})"):
            read_run(folder)
    for text in ("NaN", "[]", '{"format": NaN}', "[" * 100_000, "1" * 5000, '"ä"'):
        (folder / "run.json").write_text(text)
        with pytest.raises(ValueError, match="run.json: expected"):
            read_run(folder)
    (folder / "run.json").write_text(json.dumps(good))
    (folder / "confusion.npz").write_bytes(confusion_npz(hostile()))
    with pytest.raises(ValueError, match="confusion.npz beside it is of another run"):
        read_run(folder)
    (folder / "confusion.npz").unlink()
    with pytest.raises(ValueError, match="confusion.npz: expected a file of a run; there is none"):
        read_run(folder)


# --- writing


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_written_whole(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        atomic.write_atomically(tmp_path / "x", b"1" * 100_000)
        atomic.write_all(tmp_path, {"y": b"", "x": b"2"})
        atomic.write_atomically(tmp_path / ("n" * 255), b"long")
    finally:
        os.umask(umask)
    assert held(tmp_path) == {"x": b"2", "y": b"", "n" * 255: b"long"}
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    atomic.write_atomically(tmp_path / "x", bytes(range(100)))
    assert held(tmp_path) == {"x": bytes(range(100))}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError("odd"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_a_failure_at_any_call_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    old, new = held(folder), example(metrics=("recall",))
    function, calls = getattr(os, call), itertools.count()
    failing = -1

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(calls) == failing:
            raise error
        return function(*arguments, **options)

    monkeypatch.setattr(f"fastseg.runs.atomic.os.{call}", fail)
    for failing in range(20):
        calls = itertools.count()
        try:
            write_outputs(new, folder)
        except (OSError, KeyboardInterrupt) as found:
            assert type(found) is type(error)
            assert str(folder) in str(found) or isinstance(error, KeyboardInterrupt)
            if failing < len(FILES):
                assert held(folder) == old
            else:  # all had been renamed; only that the folder is on the disk is not known
                assert set(held(folder)) == set(FILES)
                assert read_run(folder).settings == new.settings
                write_outputs(example(), folder)
        else:
            break
    assert failing >= len(FILES)
    assert set(held(folder)) == set(FILES)
    assert read_run(folder).settings == new.settings


def test_a_renaming_that_fails_leaves_no_temporaries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.replace
    for failing in range(len(FILES)):
        calls = itertools.count()

        def fail(*paths: Any, calls: Any = calls, failing: int = failing) -> None:
            if next(calls) == failing:
                raise OSError(errno.EIO, "broken")
            rename(*paths)

        new = example(metrics=("recall",), labels=(0, 1, 2, 3, 5))
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match=FILES[failing]):
            write_outputs(new, folder)
        monkeypatch.setattr(os, "replace", rename)
        assert set(held(folder)) == set(FILES)
        if failing == 4:  # a new archive beside an old run.json is noticed
            with pytest.raises(ValueError, match="of another run, or of another time"):
                read_run(folder)
        else:
            assert read_run(folder).settings == example().settings


def test_a_folder_where_a_file_should_be_changes_nothing(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(IsADirectoryError, match=r"run\.json"):
        write_outputs(example(metrics=("recall",)), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    with pytest.raises(IsADirectoryError, match=r"run\.json"):
        atomic.write_atomically(folder / "run.json", b"")


def test_a_folder_that_is_not_there_or_not_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere/x"):
        atomic.write_atomically(tmp_path / "nowhere" / "x", b"")
    if os.name == "posix" and os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match=str(tmp_path)):
            atomic.write_atomically(tmp_path / "x", b"")
        tmp_path.chmod(0o700)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        write_outputs(EMPTY, tmp_path / "file")


@pytest.mark.skipif(os.name != "posix", reason="devices")
def test_a_device_takes_the_data_and_stays_one(tmp_path: Path) -> None:
    atomic.write_atomically(os.devnull, b"1")
    assert not Path(os.devnull).is_file()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    atomic.write_atomically(tmp_path / "pipe", b"12")
    assert os.read(reader, 9) == b"12"
    os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
def test_a_limit_on_the_size_of_files_leaves_all_as_it_was(tmp_path: Path) -> None:
    atomic.write_all(tmp_path, {"a": b"old", "b": b"old"})
    program = (
        "import resource, sys; from fastseg.runs import atomic; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: atomic.write_all(sys.argv[1], {'a': b'new', 'b': b'1' * 1001})\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.EFBIG} {tmp_path / 'b'}\n"
    assert held(tmp_path) == {"a": b"old", "b": b"old"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_named() -> None:
    with pytest.raises(OSError, match="/dev/full") as caught:
        atomic.write_atomically("/dev/full", b"1")
    assert caught.value.errno == errno.ENOSPC
