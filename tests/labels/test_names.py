"""Names from outside: whatever they hold, nothing of it acts where they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from fastseg.labels.names import shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a b", "a b"), ("a\n", r"'a\n'"), (" a", "' a'"), ("", "''"), ("\u202ea", r"'\u202ea'"), ("\udcff", r"'\udcff'")],
)
def test_shown(name: str, expected: str) -> None:
    assert shown(name) == expected


@given(st.text() | st.text(st.sampled_from("a'\"\\ \n\x1b\u202e\udcff")))
def test_what_is_shown_is_one_printable_line_however_often_it_is_written_so(name: str) -> None:
    once = shown(name)
    assert once.isprintable()
    assert once.strip() == once != ""
    assert once.encode()
    assert shown(once) == once
