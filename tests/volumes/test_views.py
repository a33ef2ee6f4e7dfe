"""Volumes seen with their axes in another order are NumPy's views."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any

import numpy as np
import pytest
from support.array_volumes import ArrayVolume, whole

from fastseg.volumes import GeometryError
from fastseg.volumes.views import Turned, align, in_blocks

SHAPE = (2, 3, 4, 5)
AFFINE = np.array([[0.6, -0.9, 0.2, 5], [0.8, 0.7, 0.1, -6], [0.1, 0.3, 2.5, 7], [0, 0, 0, 1.0]])


def stream(volume: Any, piece: int = 7) -> np.ndarray:
    """Read a volume from first to last."""
    data = bytearray()
    buffer = np.empty(piece, np.uint8)
    while count := volume.read_into(buffer):
        data += buffer[:count].tobytes()
    return np.frombuffer(bytes(data), volume.dtype).reshape(volume.geometry.shape, order=volume.order)


TURNS = [
    (axes, flips)
    for ndim in (1, 2, 3)
    for axes in itertools.permutations(range(ndim))
    for flips in itertools.product((False, True), repeat=ndim)
]
TURNS += [(axes, (False, True, axes[0] == 3, False)) for axes in itertools.permutations(range(4))]
TURNS += [(axes, (False,) * 4) for axes in itertools.permutations(range(4))]


@pytest.mark.parametrize("order", ["F", "C"])
def test_a_turned_volume_is_numpys_view(order: Any) -> None:
    streaming = 0
    for axes, flips in TURNS:
        shape = SHAPE[: len(axes)]
        array = np.arange(prod(shape), dtype="<u2").reshape(shape)
        blocks = tuple(range(1, len(shape) + 1))
        given = ArrayVolume(array, order, affine=AFFINE, axes="xyzt"[: len(shape)], blocks=blocks)
        view = Turned(given, axes, flips)
        expected = array.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        assert view.geometry.shape == expected.shape
        assert view.geometry.axes == "".join("xyzt"[axis] for axis in axes)
        assert view.blocks == tuple(blocks[axis] for axis in axes)
        assert np.array_equal(whole(view), expected)
        start = tuple(min(1, n - 1) for n in expected.shape)
        assert np.array_equal(view.read_block(start, expected.shape), expected[tuple(slice(a, None) for a in start)])
        if view.streams:
            streaming += 1
            assert np.array_equal(stream(view), expected)
        else:
            assert any(flips) or list(axes) not in (sorted(axes), sorted(axes)[::-1])
        # An index of the view and the index of that voxel in the file are at the same place.
        if view.geometry.affine is None:
            assert any(axis == 3 for axis in axes[:3])
            continue
        for index in np.ndindex(expected.shape):
            old = np.unravel_index(int(expected[index]), shape)
            homogeneous = [np.array([*(*each, 0, 0)[:3], 1.0]) for each in (index, old)]
            assert np.allclose(view.geometry.affine @ homogeneous[0], AFFINE @ homogeneous[1])
    assert streaming == 7  # as they are and in reverse


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("shape", [(1, 4, 5), (4, 1, 5), (4, 5, 1), (1, 1, 5), (4, 1, 1), (1, 1, 1)])
def test_axes_of_one_voxel_have_no_say(shape: tuple[int, ...], order: Any) -> None:
    array = np.arange(prod(shape), dtype="u1").reshape(shape)
    singles = [axis for axis, n in enumerate(shape) if n == 1]
    for left_out in (*itertools.combinations(singles, 1), *itertools.combinations(singles, 2)):
        kept = [axis for axis in range(3) if axis not in left_out]
        for axes in itertools.permutations(kept):
            for flips in itertools.product((False, True), repeat=len(axes)):
                view = Turned(ArrayVolume(array, order, affine=AFFINE, blocks=(1, 1, 1)), axes, flips)
                expected = array.reshape([shape[axis] for axis in kept]).transpose(np.argsort(np.argsort(axes)))
                expected = expected[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
                assert np.array_equal(whole(view), expected)
                if view.streams:
                    assert np.array_equal(stream(view), expected)
                flipped = any(flip and n > 1 for flip, n in zip(flips, view.geometry.shape, strict=True))
                assert view.streams != flipped
                for index in np.ndindex(expected.shape):
                    old = np.array([*np.unravel_index(int(expected[index]), shape), 1.0])
                    new = np.array([*(*index, 0, 0, 0)[:3], 1.0])
                    assert np.allclose(view.geometry.affine @ new, AFFINE @ old)


def test_a_view_of_a_view_and_of_what_is_unpacked() -> None:
    array = np.arange(24, dtype="i4").reshape(2, 3, 4)
    given = ArrayVolume(array, "F", axes="xyz")
    view = Turned(Turned(given, (2, 0, 1), (True, False, False)), (1, 2, 0), (False, True, False))
    assert not view.streams
    with in_blocks(view) as blocks:
        assert np.array_equal(whole(blocks), array[:, ::-1, ::-1])
    assert given.closed


def test_axes_are_matched_by_name() -> None:
    array = np.arange(24, dtype="u1").reshape(2, 3, 4)
    true = ArrayVolume(array, "F", axes="xyz", blocks=(1, 1, 1))
    pred = ArrayVolume(array.T, axes="zyx", blocks=(1, 1, 1))
    a, b = align(true, pred)
    assert a is true
    assert (b.geometry.shape, b.geometry.axes, b.order, b.streams) == ((2, 3, 4), "xyz", "F", True)
    assert np.array_equal(whole(b), array)
    # A page that somebody called a time is the slice: all other names agree.
    _, b = align(true, ArrayVolume(array.T, axes="tyx", blocks=(1, 1, 1)))
    assert np.array_equal(whole(b), array)
    with pytest.raises(GeometryError, match="p: expected the axes 'xyz' of t, found 'abx'"):
        align(ArrayVolume(array, axes="xyz", name="t"), ArrayVolume(array, axes="abx", name="p"))
    # Sequences of unknown meaning have one letter.
    one, other = (ArrayVolume(array.reshape(2, 3, 2, 2), axes="qqyx", blocks=(1,) * 4) for _ in range(2))
    assert align(one, other) == (one, other)
    _, b = align(one, ArrayVolume(array.reshape(2, 3, 2, 2).transpose(3, 0, 1, 2), axes="xqqy", blocks=(1,) * 4))
    assert np.array_equal(whole(b), array.reshape(2, 3, 2, 2))


@pytest.mark.parametrize("turn", [False, True])
def test_arrays_without_names(turn: bool) -> None:
    """An array has the axes of the other file, or in reverse if only that fits; both get the names."""
    array = np.arange(24, dtype="u1").reshape(2, 3, 4)
    for order in ("F", "C"):
        plain = ArrayVolume(array.T if turn else array, order, blocks=(1, 1, 1))
        _, b = align(ArrayVolume(array, "F", axes="xyz"), plain)
        assert np.array_equal(whole(b), array)
        assert b.geometry.axes == "xyz"
        a, b = align(plain, ArrayVolume(array, "F", axes="xyz", blocks=(1, 1, 1)))
        assert np.array_equal(whole(b), whole(a))
        assert a.geometry.axes == b.geometry.axes == ("zyx" if turn else "xyz")
    # Beside what is named in the order of arrays, an array is in that order too if it can be.
    _, b = align(ArrayVolume(array, axes="zyx"), ArrayVolume(array.T if turn else array, blocks=(1, 1, 1)))
    assert np.array_equal(whole(b), array)
    square = array[:, :2, :2]
    _, b = align(ArrayVolume(square, axes="zyx"), ArrayVolume(square, blocks=(1, 1, 1)))
    assert np.array_equal(whole(b), square)


@pytest.mark.parametrize("shape", [(3, 3), (3, 4, 3), (3, 1, 3), (1, 4, 4, 1)])
def test_an_array_that_may_lie_either_way_is_refused(shape: tuple[int, ...]) -> None:
    array = np.arange(prod(shape), dtype="u1").reshape(shape)
    names = "xyzt"[: len(shape)]
    named = ArrayVolume(array, axes=names, blocks=(1,) * len(shape))
    for pair in ((named, ArrayVolume(array, name="p")), (ArrayVolume(array, name="p"), named)):
        with pytest.raises(GeometryError, match=rf"p: .*axes \(--axes\) '{names}' or '{names[::-1]}'"):
            align(*pair)
    _, b = align(named, ArrayVolume(array, blocks=(1,) * len(shape)), axes=names[::-1])
    assert np.array_equal(whole(b), array.T)
    _, b = align(named, ArrayVolume(array, blocks=(1,) * len(shape)), axes=names)
    assert np.array_equal(whole(b), array)
    assert align(ArrayVolume(array), ArrayVolume(array))[1].geometry.shape == shape  # two plain arrays
    with pytest.raises(GeometryError, match=r"expected a letter for each of its .* found axes \(--axes\)"):
        align(named, ArrayVolume(array), axes="zyxwv")
    with pytest.raises(GeometryError, match="expected a letter for each of its"):
        align(named, ArrayVolume(array), axes="z" * len(shape))


def test_single_rows_are_never_ambiguous() -> None:
    for shape in ((1, 5, 1), (1, 1, 1), (1, 1), (5,)):
        array = np.zeros(shape, "u1")
        assert align(ArrayVolume(array, axes="xyz"[: len(shape)]), ArrayVolume(array))[1].geometry.shape == shape


def test_a_slice_beside_a_picture() -> None:
    picture = np.arange(12, dtype="u1").reshape(3, 4)
    nifti = ArrayVolume(picture.T[..., None], "F", axes="xyz", blocks=(1, 1, 1))
    a, b = align(nifti, ArrayVolume(picture, axes="yx", blocks=(1, 1)))
    assert (a.geometry.axes, b.geometry.axes, a.streams, b.order) == ("xy", "xy", True, "F")
    assert np.array_equal(whole(a), whole(b))
    a, b = align(ArrayVolume(picture, blocks=(1, 1)), nifti)
    assert np.array_equal(whole(a), whole(b))
    for stack in (picture[None], picture[:, :, None]):
        a, b = align(ArrayVolume(stack, blocks=(1, 1, 1)), ArrayVolume(picture, axes="yx", blocks=(1, 1)))
        assert np.array_equal(whole(a), whole(b))
    # What both have is kept, whatever its length; what no axis of one voxel explains is left as it is.
    column = ArrayVolume(np.zeros((1, 5, 1), "u1"), axes="xyz")
    assert align(column, ArrayVolume(np.zeros((5, 1), "u1"), axes="yx"))[0].geometry.axes == "xy"
    assert align(column, ArrayVolume(np.zeros(5, "u1")))[0].geometry.shape == (5,)
    assert align(ArrayVolume(np.zeros((2, 5, 1), "u1"), axes="xyz"), ArrayVolume(np.zeros(5)))[0].geometry.axes == "xyz"
