"""The command line on streams that cannot be written to: what is lost is said where that can be, and by the exit code."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cases_on_disk import folders

import fastseg
from fastseg import cli

needs_descriptors = pytest.mark.skipif(os.name != "posix", reason="the shell of this system cannot close a stream")

#: Ways to spoil a stream, and what the shell writes for stdout and stderr.
GONE, CLOSED, FULL = "reader gone", "closed", "disk full"
LOST = "fastseg: error: stdout: not all results could be written: "


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that scores one case and fails at another: there is something to say on both streams."""
    two = folders(tmp_path_factory.mktemp("bad"), 2)
    (two[1] / "case_01.nii.gz").write_bytes(b"no")
    return ["evaluate", *map(str, two)]


def start(arguments: list[str], stdout: str = "", stderr: str = "", **variables: str) -> tuple[int, str, str]:
    """Run the program with its streams spoilt. Nothing in its environment says how Python is to buffer."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment |= {"PYTHONPATH": str(Path(fastseg.__file__).parents[1]), "LANG": "C.UTF-8", **variables}
    with spoilt(stdout) as out, spoilt(stderr) as err:
        shell = "".join(f" {number}>&-" for number, how in ((1, stdout), (2, stderr)) if how == CLOSED)
        command = ["sh", "-c", f'exec "$@"{shell}', "sh", sys.executable, "-W", "error", "-m", "fastseg", *arguments]
        done = subprocess.run(command, stdout=out, stderr=err, text=True, env=environment, timeout=120)
    return done.returncode, done.stdout or "", done.stderr or ""


@contextlib.contextmanager
def spoilt(how: str) -> Iterator[int]:
    if how == GONE:
        reader, writer = os.pipe()
        os.close(reader)
    elif how == FULL:
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        yield subprocess.PIPE
        return
    try:
        yield writer
    finally:
        os.close(writer)


@needs_descriptors
@pytest.mark.parametrize("stderr", ["", GONE])
def test_a_reader_that_goes_away_changes_no_exit_code(stderr: str, bad: list[str]) -> None:
    code, _, err = start(bad, GONE, stderr)
    assert code == 3
    if not stderr:
        assert err.startswith("fastseg: error: case_01: ")
        assert err.count("\n") == 1
    assert start(["--help"], GONE, stderr) == (0, "", "")


@needs_descriptors
@pytest.mark.parametrize(("how", "why"), [(CLOSED, "Bad file descriptor"), (FULL, "No space left on device")])
def test_results_that_could_not_be_written(how: str, why: str, bad: list[str]) -> None:
    code, _, err = start(bad, how)
    assert code == 3
    assert err.startswith("fastseg: error: case_01: ")  # what there was to say is said
    assert err.endswith(f"\n{LOST}{why}\n")
    for wanted in ("--help", "--version"):
        assert start([wanted], how) == (3, "", f"{LOST}{why}\n")
    assert start(["--help"], how, how) == (3, "", "")


@needs_descriptors
@pytest.mark.parametrize("how", [GONE, CLOSED, FULL])
def test_sentences_that_could_not_be_written(how: str, bad: list[str]) -> None:
    """The exit code says it all, and no sentence strays into the results."""
    code, out, _ = start(bad, "", how)
    assert code == 3
    assert out.startswith("class ")
    assert "1 of 2 cases scored" in out
    assert "case_01" not in out
    assert start(["--help"], "", how) == start(["--help"])


@needs_descriptors
def test_unbuffered_streams(bad: list[str]) -> None:
    assert start(bad, GONE, GONE, PYTHONUNBUFFERED="1")[0] == 3
    assert start(["--help"], GONE, PYTHONUNBUFFERED="1") == (0, "", "")
    assert start(["--help"], FULL, PYTHONUNBUFFERED="1") == (3, "", f"{LOST}No space left on device\n")


@needs_descriptors
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What a C library writes to descriptor 2 would be written into it."""
    code = (
        "import os, sys\nfrom fastseg.cli.streams import guarded_streams\nwith guarded_streams():\n"
        "    file = open(sys.argv[1], 'w')\n    assert file.fileno() > 2\n    os.write(2, b'from C')"
    )
    command = ["sh", "-c", 'exec "$@" 0<&- 2>&-', "sh", sys.executable, "-c", code, str(tmp_path / "file")]
    environment = {"PYTHONPATH": str(Path(fastseg.__file__).parents[1])}
    assert subprocess.run(command, env=environment).returncode == 0
    assert (tmp_path / "file").read_bytes() == b""


class Partial(io.RawIOBase):
    """A pipe that takes a little at a time, and nothing after `room` bytes."""

    def __init__(self, room: int) -> None:
        self.taken = b""
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        part = bytes(data[: min(3, self.room - len(self.taken))])
        self.taken += part
        return len(part) or None  # None is what a pipe that would block says


@pytest.mark.parametrize("room", [1000, 4])
def test_pipes_that_do_not_block(room: int, monkeypatch: Any, capsys: Any) -> None:
    pipe = Partial(room)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(pipe), encoding="utf-8"))
    monkeypatch.setattr(sys, "argv", ["fastseg", "--version"])
    with pytest.raises(SystemExit) as done:
        cli.main()
    whole = f"fastseg, version {fastseg.__version__}\n".encode()
    assert pipe.taken == whole[:room]
    assert (done.value.code, "not all results could be written" in capsys.readouterr().err) == (
        (3, True) if room == 4 else (0, False)
    )


def test_streams_are_as_before_afterwards(monkeypatch: Any, capsys: Any) -> None:
    before = sys.stdout, sys.stderr
    monkeypatch.setattr(sys, "argv", ["fastseg", "--version"])
    for _ in range(2):
        with pytest.raises(SystemExit):
            cli.main()
        assert (sys.stdout, sys.stderr) == before
        assert capsys.readouterr().out.startswith("fastseg, version")
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit):
        cli.main()
    assert text.getvalue().startswith("fastseg, version")
