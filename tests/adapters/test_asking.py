"""Whether a thread is asking the host."""

from __future__ import annotations

import threading

import pytest

from fastseg.adapters.asking import ask, asked


def test_only_within_and_in_this_thread() -> None:
    def look() -> tuple[bool, list[bool]]:
        elsewhere: list[bool] = []
        thread = threading.Thread(target=lambda: elsewhere.append(asked()))
        thread.start()
        thread.join()
        return asked(), elsewhere

    assert not asked()
    assert ask(look) == (True, [False])
    assert not asked()


def test_nested_and_after_an_error() -> None:
    def fail(x: int, *, y: int) -> None:
        assert ask(asked)
        assert asked()  # still, when the inner one has ended
        raise KeyError(x + y)

    with pytest.raises(KeyError, match="3"):
        ask(fail, 1, y=2)
    assert not asked()
