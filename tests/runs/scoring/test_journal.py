"""The journal of a run: nothing that was finished is lost, and nothing that is damaged is believed."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastseg import count_labels
from fastseg.runs import CaseRecord
from fastseg.runs.scoring import journal
from fastseg.runs.scoring.journal import Journal, JournalError


def record(name: str, seed: int = 0) -> CaseRecord:
    labels = np.random.default_rng(seed).integers(0, 3, (2, 40))
    counts = count_labels(labels[0], labels[1], labels=[0, 1, 2])
    return CaseRecord.with_counts(
        counts, id=name, status="scored", reference=f"gt/{name}", prediction=f"p/{name}", key="k", shape=(40,),
        spacing_mm=(1.0, None), inputs={"reference": {"size": 3, "sha256": None}},
    )  # fmt: skip


NAMES = [f"case {n}" for n in range(6)] + ["\udcff\x1b[31m", "日本\n"]


def written(folder: Path) -> Path:
    with Journal(folder) as kept:
        assert kept.records == {}
        for n, name in enumerate(NAMES):
            kept.append(record(name, n))
    return folder / "records.jsonl"


def read(folder: Path) -> dict[str, str]:
    with Journal(folder) as kept:
        return {name: each.to_json() for name, each in kept.records.items()}


EXPECTED = {name: record(name, n).to_json() for n, name in enumerate(NAMES)}


def test_records_come_back(tmp_path: Path) -> None:
    path = written(tmp_path / "new" / "folder")
    before = path.read_bytes()
    assert read(path.parent) == EXPECTED
    assert path.read_bytes() == before
    with Journal(path.parent, resume=False) as kept:
        assert kept.records == {}
    assert read(path.parent) == {}


def test_the_last_record_of_a_case_counts(tmp_path: Path) -> None:
    written(tmp_path)
    with Journal(tmp_path) as kept:
        kept.append(record(NAMES[0], 99))
    assert read(tmp_path) == {**EXPECTED, NAMES[0]: record(NAMES[0], 99).to_json()}


def test_completed_it_is_in_order(tmp_path: Path) -> None:
    path = written(tmp_path)
    with Journal(tmp_path) as kept:
        kept.complete(kept.records[name] for name in sorted(NAMES))
    assert list(read(tmp_path)) == sorted(NAMES)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_cut_anywhere_only_what_was_cut_is_lost(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(whole) if byte == 10]
    for length in [*range(0, len(whole), 7), *(end + k for end in ends for k in (-1, 0, 1))]:
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in ends[1:])
        with Journal(tmp_path) as again:
            assert {name: each.to_json() for name, each in again.records.items()} == dict(list(EXPECTED.items())[:kept])
            again.append(record("new"))
        assert len(read(tmp_path)) == kept + 1


def test_zeros_at_the_end_are_dropped(tmp_path: Path) -> None:
    """As some file systems leave them when power is lost."""
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(5000))
    assert read(tmp_path) == EXPECTED
    assert path.read_bytes().endswith(b"\n")


def test_a_flipped_bit_costs_no_other_case(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    rng = random.Random(0)
    for _ in range(600):
        place = rng.randrange(header, len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        found = read(tmp_path)
        lost = set(EXPECTED) - set(found)
        assert found == {name: EXPECTED[name] for name in found}
        assert len(lost) == (1 if whole[place] != 10 else 2 if place < len(whole) - 1 else 1)


@pytest.mark.parametrize(
    "content", [b"a diary\n", b"{}\n", b'{"format": "fastseg.records", "version": 2}\n', b"\0" * 99, b"{"]
)
@pytest.mark.parametrize("resume", [True, False])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes, resume: bool) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    os.utime(path, ns=(10**18, 10**18))
    if content == b"{":  # the beginning of a header
        with Journal(tmp_path, resume=resume) as kept:
            assert kept.records == {}
        return
    with pytest.raises(JournalError, match="name another folder"):
        Journal(tmp_path, resume=resume)
    assert path.read_bytes() == content
    assert path.stat().st_mtime_ns == 10**18


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(JournalError, match=r"file/records\.jsonl: cannot be written"):
        Journal(tmp_path / "file")
    (tmp_path / "a" / "records.jsonl").mkdir(parents=True)
    with pytest.raises(JournalError, match="cannot be written: Is a directory"):
        Journal(tmp_path / "a")
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / "records.jsonl")
    with pytest.raises(JournalError, match="found a device or a pipe"):
        Journal(tmp_path / "b")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path) as mine:
        mine.append(record("a"))
        before = mine.path.read_bytes()
        with pytest.raises(JournalError, match="another fastseg is writing"):
            Journal(tmp_path, resume=False)
        code = f"from fastseg.runs.scoring.journal import Journal; Journal({os.fspath(tmp_path)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "another fastseg is writing" in done.stderr
        assert mine.path.read_bytes() == before
    assert list(read(tmp_path)) == ["a"]


def test_a_journal_that_was_replaced_while_it_was_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends between another's opening and locking leaves it a file without a name."""
    path = written(tmp_path)
    lock, opened = Journal._lock, []

    def replaced_before(self: Journal) -> None:
        opened.append(self._file)
        if len(opened) == 1:
            os.replace(path, tmp_path / "old")
            path.write_bytes((tmp_path / "old").read_bytes())
        lock(self)

    monkeypatch.setattr(Journal, "_lock", replaced_before)
    with Journal(tmp_path) as kept:
        assert len(kept.records) == len(NAMES)
        kept.append(record("new"))
    monkeypatch.undo()
    assert len(opened) == 2
    assert len(read(tmp_path)) == len(NAMES) + 1


def test_without_locks_it_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    written(tmp_path)
    assert read(tmp_path) == EXPECTED
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert read(tmp_path) == EXPECTED


def test_locks_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its C library documents them: a range from the file's position on, refused with EACCES."""
    locked: list[tuple[int, int]] = []

    def locking(file: int, mode: int, number: int) -> None:
        if locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        locked.append((os.lseek(file, 0, os.SEEK_CUR), number))

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    written(tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    with Journal(tmp_path) as kept:
        assert len(kept.records) == len(NAMES)
        assert locked == [(2**31 - 2, 1)]
        with pytest.raises(JournalError, match="another fastseg is writing"):
            Journal(tmp_path)
        kept.append(record("new"))
    locked.clear()
    assert len(read(tmp_path)) == len(NAMES) + 1


@pytest.mark.parametrize("part", [0, 1, 50])
def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    write = os.write

    def full(file: int, data: bytes) -> int:
        if part and len(data) > part:
            return write(file, data[:part])
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path) as kept:
        monkeypatch.setattr(os, "write", full if part != 1 else lambda file, data: _one_then_full(write, file, data))
        with pytest.raises(JournalError, match="cannot be written: No space left on device"):
            kept.append(record("new"))
        monkeypatch.undo()
        assert path.read_bytes() == before
        kept.append(record("new"))
    assert len(read(tmp_path)) == len(NAMES) + 1


def _one_then_full(write: Any, file: int, data: bytes) -> int:
    if len(data) < 100:
        raise OSError(errno.ENOSPC, "No space left on device")
    return int(write(file, data[:-50]))


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:11]))
    written(tmp_path)
    assert read(tmp_path) == EXPECTED


def test_it_is_flushed_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    now = [1000.0]
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    with Journal(tmp_path) as kept:
        monkeypatch.setattr(os, "fsync", flushed.append)
        for moment, expected in ((1000.0, 0), (1000.4, 0), (1000.6, 1), (1000.7, 1), (1009.0, 2)):
            now[0] = moment
            kept.append(record("a"))
            kept.flush()
            assert len(flushed) == expected
        now[0] = 2000.0
        kept.flush()  # nothing new
        assert len(flushed) == 2

        def fail(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        kept.append(record("a"))
        with pytest.raises(JournalError, match="Input/output error"):
            kept.flush()
    kept.close()  # twice


def test_lines_of_another_version_are_dropped(tmp_path: Path) -> None:
    import zlib

    path = written(tmp_path)
    with path.open("ab") as file:
        for text in (b"{}", b"[]", b"3", b'{"id":"x","nonsense":1}', b"{", b"\xff"):
            file.write(b"%08x %s\n" % (zlib.crc32(text), text))
    assert read(tmp_path) == EXPECTED
