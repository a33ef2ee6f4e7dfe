"""The numbers by which stored values are scanned for surfaces: a byte or two, whatever the file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counting.no_data import with_label
from fastseg.counting.stored_labels import to_labels
from fastseg.volumes import Volume

__all__ = ["ValueCodes"]

Array = npt.NDArray[Any]

#: Codes from here on stand for labels that are negative, or not below this: more than there may be classes.
_FIRST_OTHER = (1 << 16) - 6000


class ValueCodes:
    """Gives values of one file codes: 0 to what is in no class, to each other label a code of its own.

    Parameters
    ----------
    volume
        What the values are of.
    mapping
        Labels that stand for others.
    known
        The code of each label that has another than 0; None: each label but 0 has one of its own.
    special
        Labels that have a code before they occur.

    Attributes
    ----------
    dtype : uint8 or uint16
        Of the codes.
    """

    def __init__(
        self,
        volume: Volume,
        mapping: Mapping[int, int] | None,
        known: Mapping[int, int] | None,
        special: Sequence[int] = (),
    ) -> None:
        self._volume, self._mapping, self._known = volume, mapping or None, known
        self._others: dict[int, int] = {}
        stored = volume.dtype
        narrow = stored.itemsize == 1 and stored.kind in "biu"
        self._plain = volume.scaling is None and not mapping
        self._signed = stored.kind == "i"
        self.dtype: np.dtype[Any] = np.dtype(np.uint16)
        if known is None:
            for label in special:
                self._other(label)
        else:
            self._names = np.array(sorted(known), np.int64)
            self._codes = np.array([known[label] for label in self._names.tolist()], np.uint16)
        self._table: Array | None = None
        self._as_stored = narrow and self._plain and known is None and stored.kind != "b"
        if self._as_stored:
            self.dtype = np.dtype(np.uint8)
        elif narrow:
            every = np.arange(256, dtype=np.uint8)
            table = self._of_labels((every != 0) if stored.kind == "b" else every.view(stored))
            self.dtype = np.min_scalar_type(table.max())
            self._table = table.astype(self.dtype)
        elif self._plain and known is not None:
            self._table = self._of_labels(np.arange(1 << 16))

    def __call__(self, values: Array) -> Array:
        """Return the codes of stored values."""
        if self._as_stored:
            return values.view(np.uint8)
        if values.dtype.itemsize == 1 and self._table is not None:
            return np.take(self._table, values.view(np.uint8))
        if self._plain:
            with np.errstate(invalid="ignore"):  # what does not fit differs afterwards
                codes = values.astype(np.uint16)
            if (codes == values).all():
                if self._table is not None:
                    return np.take(self._table, codes)
                if codes.max(initial=0) < _FIRST_OTHER:
                    return codes
        return self._of_labels(values)

    def of(self, label: int) -> int:
        """Return the code of a label; −1 if no value has it."""
        if self._known is not None:
            return self._known.get(label, -1)
        if self._as_stored:
            least = -128 if self._signed else 0
            return label & 255 if least <= label < least + 256 else -1
        return label if 0 <= label < _FIRST_OTHER else self._others.get(label, -1)

    def _of_labels(self, values: Array) -> Array:
        """Return the codes of any values by the labels that they stand for; what is no label is found when it is counted."""
        labels, _ = to_labels(with_label(values, self._volume), self._volume.scaling, self._mapping)
        if self._known is not None:
            place = np.minimum(np.searchsorted(self._names, labels), self._names.size - 1)
            return np.where(self._names[place] == labels, self._codes[place], 0).astype(np.uint16)
        codes = labels.astype(np.uint16)
        beyond = (labels < 0) | (labels >= _FIRST_OTHER)
        if beyond.any():
            different, inverse = np.unique(labels[beyond], return_inverse=True)
            codes[beyond] = np.array([self._other(label) for label in different.tolist()], np.uint16)[inverse]
        return codes

    def _other(self, label: int) -> int:
        """Return the code of a label that may not be its own code; 0 where there are too many, which is an error elsewhere."""
        if 0 <= label < _FIRST_OTHER:
            return label
        if label not in self._others and _FIRST_OTHER + len(self._others) < 1 << 16:
            self._others[label] = _FIRST_OTHER + len(self._others)
        return self._others.get(label, 0)
