"""The formats that cases are found among."""

from __future__ import annotations

import pytest

from fastseg.volumes import open as opening
from fastseg.volumes.volume import Format, Volume

#: Formats beside those that there are: what the rules say does not hang on which libraries the package reads by.
FORMATS = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz", ".png", ".npz", ".mhd", ".zarr")


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Format("any", FORMATS, lambda _: False, Volume)  # type: ignore[arg-type]
    monkeypatch.setattr(opening, "_formats", lambda: (entry,))
    monkeypatch.setattr(opening, "_suffixes", opening._suffixes.__wrapped__)
