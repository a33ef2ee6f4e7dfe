"""What a library writes for a test to read, where old versions of it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def skipped_if_not_written(*errors: type[Exception]) -> Iterator[None]:
    """Skip the test if the library refuses to write; the newest versions never do, and the gate allows no such skip."""
    try:
        yield
    except errors as error:
        pytest.skip(f"this version of the library cannot write it: {error}")
