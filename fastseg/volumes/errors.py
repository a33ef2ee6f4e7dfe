"""What goes wrong with a volume, by kind."""

from __future__ import annotations


class VolumeError(ValueError):
    """A volume that cannot be read; the message begins with its path, then what was expected and what was found."""


class UnrecognisedError(VolumeError):
    """A file that is not of the format that its suffix says."""


class StreamError(VolumeError):
    """The bytes of a file ended or broke before their end; ``reason`` says how, without the path."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: truncated or corrupt: {reason}")
        self.reason = reason


class ClosedError(VolumeError):
    """A volume that is read although it is closed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: the volume is closed")
