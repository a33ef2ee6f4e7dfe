"""Files of a run are written whole or not at all, whatever fails meanwhile."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.example_runs import EMPTY, example

from fastseg.runs import atomic
from fastseg.runs.outputs.folder import FILES, read_run, write_outputs


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
