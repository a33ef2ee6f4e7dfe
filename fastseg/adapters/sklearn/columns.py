"""What scikit-learn takes for columns of labels and of weights, as arrays that can be counted."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered
from fastseg.arrays.classes import MAX_CLASSES

__all__ = ["as_array", "as_codes", "as_numbers", "as_summed", "as_weight", "is_text", "likely_classes"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

#: What a list of labels may be made of.
_SCALARS = (bool, int, float, str, np.bool_, np.integer, np.floating)
#: Columns up to this length get types that the kernels for them are compiled for already.
_SHORT = 1 << 16
#: Classes up to which `likely_classes` guesses.
_FEW = 64
#: Labels of a column of text that are taken for all its words, until another is seen.
_BEGINNING = 1 << 10
#: Strings that become codes at once: what is beside the codes stays small.
_BLOCK = 1 << 16


def as_array(value: Any) -> Array:
    """Return an array, a list or a pandas Series as an array, as it is."""
    kind = type(value)
    if kind is list or kind is tuple:
        types = set(map(type, value))
        if len(types) != 1 or not issubclass(types.pop(), _SCALARS):
            raise NotCovered("a list of other than one type of numbers or text")
        return np.asarray(value)
    if _is_series(value):
        return np.asarray(value.to_numpy())
    if kind is np.ndarray or kind is np.memmap:
        return np.asarray(value)
    raise NotCovered(f"a {kind.__name__}")


def is_text(labels: Array) -> bool:
    """Tell whether labels are text; what is neither text nor numbers is not covered."""
    if labels.dtype.kind in "biu" or (labels.dtype.kind == "f" and labels.dtype.itemsize in (4, 8)):
        return False
    if labels.dtype.kind == "U" or (labels.dtype.kind == "O" and set(map(type, labels.tolist())) == {str}):
        return True
    raise NotCovered(f"labels of dtype {labels.dtype}")


def as_numbers(labels: Array) -> Array:
    """Return labels for counting: short columns in the two types that are compiled first."""
    if labels.size > _SHORT or (labels.dtype == np.uint64 and labels.max() >= 2**63):
        return labels
    return labels.astype(np.float64 if labels.dtype.kind == "f" else np.int64)


def likely_classes(*columns: Array) -> int | None:
    """Return K where short columns have labels 0..K-1 of a small K: they are counted sooner if that is said."""
    if any(column.dtype != np.int64 or column.size > _SHORT for column in columns):
        return None
    most = max(int(column.view(np.uint64).max()) for column in columns)  # negative ones are large then
    return most + 1 if most < _FEW else None


def as_codes(*columns: Array) -> tuple[Array, list[Array]]:
    """Return the words that occur in columns of text, sorted, and their places in the columns.

    What the columns begin with is guessed to be all; where it is not, a second look is.
    """
    words = np.unique(np.concatenate([column[:_BEGINNING].astype(str) for column in columns]))
    while True:
        codes, missed = [], []
        for column in columns:
            places, others = _places(words, column)
            codes.append(places)
            missed.append(others)
        if not any(others.size for others in missed):
            return words, codes
        words = np.unique(np.concatenate([words, *missed]))
        if words.size > MAX_CLASSES:
            raise NotCovered("more labels than are counted")


def _places(words: Array, column: Array) -> tuple[Array, Array]:
    """Return the places of a column's labels among words, and the labels that are not among them."""
    if column.dtype.kind == "O":
        texts = column.tolist()
        others = np.array(sorted(set(texts) - set(words.tolist())), str)
        place = {word: n for n, word in enumerate(words.tolist())}
        return np.fromiter((place.get(text, 0) for text in texts), np.int64, len(texts)), others
    places = np.empty(column.size, np.int64 if column.size <= _SHORT else np.uint16)
    others = words[:0]
    for start in range(0, column.size, _BLOCK):
        block = column[start : start + _BLOCK]
        found = np.minimum(np.searchsorted(words, block), words.size - 1)
        wrong = words[found] != block
        if wrong.any():
            others = np.unique(np.concatenate([others, block[wrong]]))
            if others.size > MAX_CLASSES:
                raise NotCovered("more labels than are counted")
        places[start : start + _BLOCK] = found
    return places, others


def as_weight(value: Any, size: int) -> Array | None:
    """Return weights of that many samples, None where there are none."""
    if value is None:
        return None
    if type(value) is list and set(map(type, value)) <= {bool, int, float}:  # more than one of them, perhaps
        value = np.asarray(value)
    weight = as_array(value)
    if weight.ndim != 1 or weight.size != size:
        raise NotCovered("weights of another shape")
    if weight.dtype.kind not in "biu" and weight.dtype not in (np.float32, np.float64):
        raise NotCovered(f"weights of dtype {weight.dtype}")
    if not weight.any():
        raise NotCovered("weights that are all 0")
    return weight


def as_summed(weight: Array | None) -> Array | None:
    """Return weights for counting: short columns in the one type that is compiled first."""
    return weight if weight is None or weight.size > _SHORT else weight.astype(np.float64)


def _is_series(value: Any) -> bool:
    """Tell whether it is a pandas Series of a type that NumPy has too; pandas is not imported for that."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and type(value) is pandas.Series and isinstance(value.dtype, np.dtype)
