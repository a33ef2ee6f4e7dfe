"""What a run leaves in its folder is read as it was written; damaged, it is refused."""

from __future__ import annotations

import json
import math
import os
import random
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.example_runs import ALL_FAILED, EMPTY, REGIONS, example, hostile, plain, rows

from fastseg.runs import Run, Settings
from fastseg.runs.outputs.confusion_npz import confusion_npz
from fastseg.runs.outputs.csv_tables import classes_csv
from fastseg.runs.outputs.folder import FILES, read_run, write_outputs
from fastseg.runs.outputs.run_json import run_to_dict


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
    for wrong, found in (
        (other, "no run.json in it (after an interruption, run the same command again)"),
        (folder / "run.json", "a file"),
        (folder / "nowhere", "nothing"),
    ):
        message = f"{wrong}: expected a folder that fastseg evaluate -o has finished, found {found}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            read_run(wrong)
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
