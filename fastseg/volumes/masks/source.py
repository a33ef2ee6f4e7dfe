"""What is known of the masks of a case before a voxel is read: their names, and which volume has each as which values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.open import open_volume
from fastseg.volumes.volume import Volume

__all__ = ["Layer", "MaskSource", "of_labels"]


class Layer(NamedTuple):
    """A volume, and the classes whose masks are in it."""

    path: str
    """What messages call it."""
    open: Callable[[], Volume]
    """Opens it anew, for whoever counts it."""
    members: Mapping[str, tuple[int, ...] | None]
    """The stored values, scaled, that are each class; None: the one that is not 0, of a binary mask."""


class MaskSource:
    """The masks of one side of a case, in layers.

    Parameters
    ----------
    path : str
        What messages call all of it.
    layers : sequence of Layer
        In which each class stands once.
    ids : mapping of str to str, optional
        What else the masks are known by, such as the identifiers of segments.
    sparse : bool
        Whether a mask that is not there is empty by what the file is, and not missing.

    Raises
    ------
    VolumeError
        If a class stands in two layers.
    """

    def __init__(
        self, path: str, layers: Sequence[Layer], ids: Mapping[str, str] | None = None, *, sparse: bool = False
    ) -> None:
        self.sparse = sparse
        self.path, self.layers, self.ids = path, tuple(layers), dict(ids or {})
        self.layer_of: dict[str, int] = {}
        for number, layer in enumerate(self.layers):
            for name in layer.members:
                if name in self.layer_of:
                    raise VolumeError(f"{path}: expected each mask once, found {name!r} twice")
                self.layer_of[name] = number
        self.complete = False
        """Whether each value is a class by what the file is, so that one of none is worth a word."""
        self.renamed: dict[str, str] = {}
        """What masks were called that have the other side's name now."""
        self.stack = ExitStack()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of the file, or of the files' names."""
        return tuple(self.layer_of)

    def called_as(self, other: MaskSource) -> MaskSource:
        """Return the same masks under the names that another side has for those of the same identifiers.

        Names go before identifiers: a mask whose name the other side has too keeps it.
        """
        theirs = {own: name for name, own in other.ids.items() if name not in self.layer_of}
        return self.named({n: theirs[own] for n, own in self.ids.items() if own in theirs and n not in other.layer_of})

    def named(self, new: Mapping[str, str]) -> MaskSource:
        """Return the same masks, some of them under other names."""
        if not new:
            return self
        layers = [
            layer._replace(members={new.get(name, name): values for name, values in layer.members.items()})
            for layer in self.layers
        ]
        found = MaskSource(
            self.path, layers, {new.get(name, name): own for name, own in self.ids.items()}, sparse=self.sparse
        )
        found.complete = self.complete
        found.renamed = {called: name for name, called in new.items()}
        return found

    def close(self) -> None:
        """Close what is shared by the layers; closing twice is allowed."""
        self.stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


def of_labels(path: str, members: Mapping[str, tuple[int, ...]]) -> MaskSource:
    """Return the classes of a label map: each is one label, or the union of several."""
    return MaskSource(path, [Layer(path, lambda: open_volume(path), members)])
