"""Folders of empty files: what the rules of pairing say does not hang on what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from fastseg.runs.cases.find import Cases, CasesError, find_cases

#: What messages about several files of one case end in.
ONE_OF_THEM = "; a pattern (--pattern) that only one of them matches tells which it is"


def folder(path: Path, names: Iterable[str | bytes]) -> str:
    """Write empty files, folders where a name ends in a slash, and return the folder's path."""
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        target = os.path.join(os.fsencode(path), os.fsencode(name))
        if target.endswith(b"/"):
            os.makedirs(target)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            open(target, "wb").close()
    return str(path)


def find(tmp_path: Path, references: Iterable[str], predictions: Iterable[str], **options: object) -> Cases:
    return find_cases(folder(tmp_path / "gt", references), folder(tmp_path / "pred", predictions), **options)  # type: ignore[arg-type]


def refused(tmp_path: Path, references: Iterable[str], predictions: Iterable[str], **options: object) -> list[str]:
    """Return the problems, without the test's folder."""
    with pytest.raises(CasesError) as caught:
        find(tmp_path, references, predictions, **options)
    return plain(caught.value, tmp_path)


def plain(error: CasesError, tmp_path: Path) -> list[str]:
    lines = str(error).split("\n")
    assert [line.strip() for line in lines[1:]] == [*error.problems, *([f"({error.hint})"] if error.hint else [])]
    assert lines[0] == f"the cases: {len(error.problems)} problem{'s'[: len(error.problems) != 1]}"
    assert all(line.isprintable() for line in error.problems)
    return [line.replace(f"{tmp_path}/", "") for line in error.problems]
