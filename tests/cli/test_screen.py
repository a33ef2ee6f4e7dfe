"""What a terminal shows: progress, harmless messages, and errors that nobody expected."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from support.command_line import call

from fastseg.cli import screen


def test_unexpected_errors_and_interrupts(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    import fastseg

    for error, code, message in (
        (ZeroDivisionError("x"), 3, "ZeroDivisionError: x"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ):

        def fail(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(fastseg, "evaluate_files", fail)
        found, _, err = call(capsys, monkeypatch, "evaluate", *pair)
        assert found == code
        assert message in err


def test_ctrl_c_again_while_the_first_is_answered(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    import fastseg

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    ignore, again = signal.signal, [KeyboardInterrupt, KeyboardInterrupt]

    def interrupted(*arguments: Any) -> Any:
        if again:
            raise again.pop()
        return ignore(*arguments)

    monkeypatch.setattr(fastseg, "evaluate_files", fail)
    monkeypatch.setattr(signal, "signal", interrupted)
    assert call(capsys, monkeypatch, "evaluate", *pair) == (130, "", "\nfastseg: interrupted\n")  # below ^C
    assert not again


def test_progress_bar_on_a_slow_terminal(pair: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    times = iter(range(1000))
    monkeypatch.setattr(screen.time, "monotonic", lambda: float(next(times)))
    with screen.counting_progress(quiet=False) as update:
        assert update is not None
        update(1, 10)
        update(10, 10)
    with screen.counting_progress(quiet=True) as update:
        assert update is None


def test_messages_are_harmless(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    code, _, err = call(capsys, monkeypatch, "evaluate", tmp_path / "a\x1b[2J\nfastseg: all is well", tmp_path / "b")
    assert code == 3
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_the_progress_of_a_run(two: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call(capsys, monkeypatch, "evaluate", *two)[0] == 0
