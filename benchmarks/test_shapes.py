"""The shapes that people send: our whole call against the fastest of the others, in every cell of a matrix."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest
import shapes
from harness import Array
from race import PARTS, ROOM, WHOLE, Cell, race, try_out
from shapes import CALLS, CLASSES, MASK_TYPES, MASKS, SHAPES

pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    callers = pytest.importorskip("callers", reason="all that it calls", exc_type=ImportError)
#: Values of masks beyond which scikit-learn, which makes sparse matrices of them, is left out before.
SKLEARN = 1 << 22
QUICK = {"1×256²", "1×512²", "8×512²"}, {4, 150, 1000}  # shapes and numbers of classes


def sizes(shape: str) -> str:
    """Return a shape as it can be typed after -k."""
    return "x".join(map(str, SHAPES[shape]))


@pytest.mark.parametrize("classes", CLASSES, ids="K{}".format)
@pytest.mark.parametrize("shape", SHAPES, ids=sizes)
def test_labels(shape: str, classes: int, quick: bool) -> None:
    if quick and not (shape in QUICK[0] and classes in QUICK[1]):
        pytest.skip("left out by --quick")
    small = shapes.label_pair(SHAPES[shape], classes)
    matrices = shapes.matrices(*small, classes)
    wide = tuple(each.astype(np.int64) for each in small)
    tried: dict[str, Any] = {}  # by call: torch's tensors are the same memory as the int64 arrays
    for name, maps in {small[0].dtype.name: small, "int64": wide, "torch": wide}.items():
        for call in CALLS:
            cell = Cell(shape, classes, name, call)
            mine = callers.ours(call, *map(callers.tensor, maps) if name == "torch" else maps, classes)
            assert shapes.agree(callers.plain(mine()), shapes.wanted(call, matrices))
            others = functools.partial(callers.others, call, classes=classes)
            if name != "torch":
                room = callers.ONE_HOT_BYTES * maps[0].size * classes
                if room > ROOM and call in callers.ONE_HOT:
                    cell.left_out[callers.ONE_HOT[call]] = f"one-hot copies of {room / 2**30:.1f} GiB"
                tried[call] = leave_out(cell, others, maps, matrices), cell.left_out
            seconds, cell.left_out = tried[call]
            race(cell, mine, others(*maps), seconds)


def leave_out(cell: Cell, others: Any, maps: Any, matrices: Array) -> dict[str, float]:
    """Leave out of the cell those who cannot be the fastest, and wrong results; return the seconds of the rest."""
    call = cell.call if cell.call in CALLS else "Dice a sample"
    for voxels, limit in PARTS.items():
        if voxels < maps[0].size:
            part = tuple(shapes.middle(each, voxels) for each in maps)
            right = functools.partial(shapes.wanted, call, shapes.matrices(*part, cell.classes))
            try_out(cell, others(*part), right, limit, f"{part[0].size:,} voxels")
    return try_out(cell, others(*maps), functools.partial(shapes.wanted, call, matrices), WHOLE, "the whole")


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(
    ("shape", "classes"), MASKS, ids=lambda value: sizes(value) if value in SHAPES else f"K{value}"
)
def test_masks(shape: str, classes: int, last: bool, quick: bool) -> None:
    if quick and shape != "1×256²":
        pytest.skip("left out by --quick")
    maps = shapes.label_pair(SHAPES[shape], classes)
    matrices = shapes.matrices(*maps, classes)
    axis = -1 if last else 1
    for dtype in MASK_TYPES:
        cell = Cell(shape, classes, dtype, f"masks, channels {'last' if last else 'first'}")
        hot = functools.partial(shapes.one_hot, classes=classes, dtype=dtype, last=last)
        masks = tuple(map(hot, maps))
        mine = callers.ours_of_masks(*masks, axis)
        assert shapes.agree(mine(), shapes.wanted("Dice a sample", matrices))
        if masks[0].size > SKLEARN:
            cell.left_out["scikit-learn"] = f"more than {SKLEARN:,} values"
        whole = callers.others_of_masks(*masks, axis)

        def others(true: Array, pred: Array) -> Any:
            return whole if true is maps[0] else callers.others_of_masks(hot(true), hot(pred), axis)  # noqa: B023

        race(cell, mine, whole, leave_out(cell, others, maps, matrices))
