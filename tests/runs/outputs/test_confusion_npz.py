"""The archive of matrices: it is read as its documentation says, and refused where it contradicts itself."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.example_runs import ALL_FAILED, EMPTY, example, hostile

from fastseg.runs import Run
from fastseg.runs.outputs.confusion_npz import confusion_npz, read_confusion


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
