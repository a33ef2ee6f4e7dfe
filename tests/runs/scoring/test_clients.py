"""What people call a cluster, and is none: said at once, whatever it is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.cases_on_disk import folders
from support.clusters import small_cluster

import fastseg
from fastseg.runs.scoring import clients
from fastseg.runs.scoring.clients import open_cluster


def refused(where: str) -> str:
    """Return what is said of what is no cluster."""
    with pytest.raises(ValueError, match="^cluster: ") as said, open_cluster(where):
        pass
    return str(said.value)


@contextmanager
def listener(answer: bytes) -> Iterator[str]:
    """Yield the address of something that answers so, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(answer)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\0" * 64])
def test_what_listens_and_is_no_scheduler(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_ANSWER", 0.5)
    with listener(answer) as address:
        assert refused(address).startswith(f"cluster: expected a scheduler at {address}, found none: ")


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clients, "_ANSWER", 0.5)
    assert refused("tcp://127.0.0.1:1").startswith("cluster: expected a scheduler at tcp://127.0.0.1:1, found none: ")
    (tmp_path / "scheduler.json").write_text('{"address": "tcp://127.0.0.1:1"}')
    assert "expected a scheduler at " in refused(str(tmp_path / "scheduler.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"address": 3}', b"\xff\xfe\0", b"null"])
def test_files_that_are_not_those_of_a_scheduler(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    path.write_bytes(content)
    assert refused(str(path)).startswith(f"cluster: {path}: expected the file of a scheduler, ")


@pytest.mark.slow
def test_cases_wait_for_workers_that_come_later(tmp_path: Path) -> None:
    """As those of a queue of jobs do."""
    two = folders(tmp_path, 2)
    said: list[str] = []
    with small_cluster(0) as client:

        def note(text: str) -> None:
            said.append(text)
            client.cluster.scale(1)

        found = fastseg.evaluate_folder(*two, client=client, note=note)
    assert said == ["the cluster has no workers yet; cases wait for them"]
    assert [record.status for record in found.records] == ["scored"] * 2
