"""What a run leaves in its folder: the archive of matrices, run.json; whole or not at all."""

from __future__ import annotations

import errno
import io
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.example_runs import ALL_FAILED, EMPTY, REGIONS, example, hostile, plain, rows

from fastseg.runs import Run, Settings, atomic
from fastseg.runs.outputs.confusion_npz import confusion_npz, read_confusion
from fastseg.runs.outputs.csv_tables import classes_csv
from fastseg.runs.outputs.folder import FILES, read_run, write_outputs
from fastseg.runs.outputs.run_json import run_to_dict

# --- confusion.npz


def test_the_archive_is_read_as_its_documentation_says() -> None:
    run = example(labels=(3, 0, 2, 1))
    data = np.load(io.BytesIO(confusion_npz(run)))
    labels, pairs = data["labels"], data["pairs"][data["starts"][0] : data["starts"][1]]
    order = np.argsort(labels)
    true, pred = (order[np.searchsorted(labels, pairs[:, k], sorter=order)] for k in (0, 1))
    matrix = np.zeros((labels.size, labels.size), np.int64)
    matrix[true, pred] = pairs[:, 2]
    np.testing.assert_array_equal(matrix, run.counts([0]).matrix[0])


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
