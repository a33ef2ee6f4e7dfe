"""Work in a process beside this one's: the same result, whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from support.example_runs import example
from support.waiting import until

from fastseg.runs.outputs import beside as module, folder
from fastseg.runs.outputs.beside import beside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked there")

LARGE = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "can_fork", lambda: True)  # the threads of pytest's own helpers do no harm
    monkeypatch.setattr(module, "get_num_threads", lambda: 2)


def process() -> bytes:
    return str(os.getpid()).encode()


def test_it_is_another_process_that_works() -> None:
    with beside(lambda: (process(), LARGE, b"")) as result:
        found = result()
    assert found[1:] == (LARGE, b"")
    assert found[0] != process()
    assert not Path(f"/proc/{found[0].decode()}").exists()


@pytest.mark.parametrize("where", ["can_fork", "get_num_threads"])
def test_nothing_is_forked_where_it_should_not_be(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(module, where, lambda: 0)
    with beside(lambda: (process(),)) as result:
        assert result() == (process(),)


def test_what_a_process_that_dies_owes_is_made_here() -> None:
    here = os.getpid()

    def work() -> tuple[bytes, ...]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return (process(),)

    with beside(work) as result:
        assert result() == (process(),)


def test_a_process_that_dies_in_the_middle_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(function: object, reader: object, writer: object) -> None:
        writer.send(1)  # type: ignore[attr-defined]
        os.write(writer.fileno(), b"\0\0\0\x09half")  # type: ignore[attr-defined]
        os._exit(0)

    monkeypatch.setattr(module, "_work", torn)
    with beside(lambda: (b"whole",)) as result:
        assert result() == (b"whole",)


def test_errors_are_raised_here() -> None:
    def work() -> tuple[bytes, ...]:
        raise RuntimeError("of mine")

    with pytest.raises(RuntimeError, match="of mine"), beside(work) as result:
        result()


def test_an_error_beside_it_ends_the_process(tmp_path: Path) -> None:
    def work() -> tuple[bytes, ...]:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(60)
        return (b"",)

    def interrupted() -> None:
        with beside(work):
            assert until(lambda: list(tmp_path.iterdir()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (seen,) = tmp_path.iterdir()
    assert not Path(f"/proc/{seen.name}").exists()


def test_the_files_of_a_run_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_outputs(example(), tmp_path / "here")
    monkeypatch.setattr(folder, "_WORTH_A_FORK", 0)
    folder.write_outputs(example(), tmp_path / "beside")
    for name in folder.FILES:
        assert (tmp_path / "beside" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name
