"""Which hosts are patched, and for whom: with two hosts made up here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from types import ModuleType

import pytest

import fastseg
from fastseg.adapters.hosts import HOSTS, Host
from fastseg.patch import hosts
from fastseg.patch.swaps import Step


def first() -> str:
    return "theirs"


def second() -> str:
    return "theirs"


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let there be the hosts `one` and `two`, each with a function, and `old`, of a version that nobody knows."""
    for name, function, version in (("one", first, "1.2.3"), ("two", second, "1.2.9"), ("old", first, "0.9")):
        host, ours = ModuleType(name), ModuleType(f"patches_{name}")
        host.__version__ = version  # type: ignore[attr-defined]
        ours.STEPS = [Step(function, lambda: "ours")]  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, host)
        monkeypatch.setitem(sys.modules, ours.__name__, ours)
        monkeypatch.setitem(HOSTS, name, Host(name, f"made-up-{name}", oldest="0.1", tested=("1.2",)))
        monkeypatch.setitem(hosts.PATCHED, name, ours.__name__)
    yield
    fastseg.patch.undo()
    assert (first(), second()) == ("theirs", "theirs")


def test_a_context() -> None:
    with fastseg.patch("one"):
        assert (first(), second()) == ("ours", "theirs")
    assert first() == "theirs"


def test_several_hosts() -> None:
    with fastseg.patch("one", "two"):
        assert (first(), second()) == ("ours", "ours")
    assert (first(), second()) == ("theirs", "theirs")


def test_a_function_and_its_undo() -> None:
    made = fastseg.patch("one")
    assert first() == "ours"
    made.undo()
    made.undo()
    assert first() == "theirs"
    assert repr(made) == "fastseg.patch('one')"


def test_undo_by_name_ends_all_patches_of_that_host() -> None:
    fastseg.patch("one", "two")
    fastseg.patch("one")
    fastseg.patch.undo("one")
    assert (first(), second()) == ("theirs", "ours")
    fastseg.patch.undo("one")  # again: nothing
    fastseg.patch.undo()
    assert second() == "theirs"


def test_nested_contexts_are_counted() -> None:
    with fastseg.patch("one"):
        with fastseg.patch("one", "two"):
            assert fastseg.patch.status()["one"].patches == 2
        assert (first(), second()) == ("ours", "theirs")
    assert first() == "theirs"


def test_a_context_within_what_a_function_patched() -> None:
    fastseg.patch("one")
    with fastseg.patch("one"):
        pass
    assert first() == "ours"


def test_the_same_patch_entered_twice_and_again() -> None:
    made = fastseg.patch("one")
    with made:
        with made:
            pass
        assert first() == "ours"
    assert first() == "theirs"
    with made:
        assert first() == "ours"
    assert first() == "theirs"


def test_a_context_that_was_undone_within() -> None:
    with fastseg.patch("one"):
        fastseg.patch.undo()
        assert first() == "theirs"
        with fastseg.patch("one"):
            assert first() == "ours"
    assert first() == "theirs"


def test_an_error_within_puts_it_back() -> None:
    with pytest.raises(KeyError, match="within"), fastseg.patch("one"):
        raise KeyError("within")
    assert first() == "theirs"


def test_status() -> None:
    before = datetime.now()
    with fastseg.patch("one"):
        status = fastseg.patch.status()
        found = status["one"]
        assert found.patched
        assert (found.version, found.patches) == ("1.2.3", 1)
        assert found.since is not None
        assert before <= found.since <= datetime.now()
        assert not status["two"].patched
        assert "1.2.3" in str(status)
        assert "not patched" in str(status)
    found = fastseg.patch.status()["one"]
    assert (found.patched, found.version, found.since) == (False, None, None)


def test_unknown_hosts_are_named_and_those_that_there_are() -> None:
    for call in (fastseg.patch, fastseg.patch.undo):
        with pytest.raises(ValueError, match=r"hosts: expected some of .*'sklearn'.*'one'.*, found 'three', 'four'"):
            call("one", "three", "four")
    with pytest.raises(ValueError, match="found none"):
        fastseg.patch()
    assert first() == "theirs"


def test_another_version_is_refused_and_named_and_nothing_is_patched() -> None:
    with pytest.raises(ImportError, match=r"fastseg.patch\('old'\): expected made-up-old 1.2, .* found 0.9"):
        fastseg.patch("two", "old")
    assert second() == "theirs"
    assert not fastseg.patch.status()["two"].patched


def test_a_host_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "one", None)
    with pytest.raises(ImportError, match="pip install made-up-one"):
        fastseg.patch("one")


def test_threads_that_enter_and_leave() -> None:
    """Within its own context a thread always finds our function, whatever others do; in the end it is the host's."""
    wrong: list[str] = []
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(300):
            with fastseg.patch(*(("one",), ("one", "two"), ("two", "one"))[(number + turn) % 3]):
                if (number + turn) % 3 == 0 or second() == "ours":
                    found = first() if (number + turn) % 3 == 0 else second()
                    if found != "ours":
                        wrong.append(found)
                else:
                    wrong.append("second")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert (first(), second()) == ("theirs", "theirs")


def test_it_is_a_module_that_is_called() -> None:
    import fastseg.patch as module

    assert fastseg.patch is module is sys.modules["fastseg.patch"]
    assert {"Patch", "status", "undo"} <= set(module.__all__)
    assert {"monai", "sklearn", "torchmetrics"} <= set(module.status())
