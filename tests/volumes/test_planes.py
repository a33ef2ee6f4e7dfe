"""Planes that a file leaves out: which lattice the others lie on, and how a volume is seen with planes of background."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.array_volumes import ArrayVolume, check_boxes, check_boxes_from_threads

from fastseg.volumes import Geometry
from fastseg.volumes.planes import PLANES_LIMIT, Spread, common_step, fitted_step, on_one_lattice
from fastseg.volumes.volume import Planes

DATA = np.random.default_rng(2).integers(1, 1000, (4, 5, 3)).astype("u2")
#: Where a view has the planes of DATA.
PLACES = [[0, 1, 2], [2, 3, 4], [0, 2, 5], [1, 3, 6], [1, -1, 5]]


def volume(data: np.ndarray, step: float | None = 2.0, origin: float = 0.0) -> ArrayVolume:
    """Return an array of (x, y, z) as a file that leaves out planes, but has all of these."""
    affine = np.diag([1.0, 1.0, step or 2.0, 1.0])
    affine[2, 3] = origin
    made = ArrayVolume(data, "F", axes="xyz", affine=affine, blocks=(1, 1, 1))
    made.planes = Planes(tuple(range(data.shape[2])), step)
    return made


def spread(places: list[int]) -> tuple[Spread, np.ndarray]:
    expected = np.zeros((4, 5, 8), DATA.dtype)
    for own, place in enumerate(places):
        if place >= 0:
            expected[:, :, place] = DATA[:, :, own]
    return Spread(volume(DATA), np.array(places), Geometry(expected.shape, np.eye(4), (1.0, 1.0, 1.0), "xyz")), expected


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("size", [1, 7, 40, 41, 1000])
def test_a_stream_has_background_where_planes_are_left_out(places: list[int], size: int) -> None:
    view, expected = spread(places)
    parts, buffer = [], bytearray(size)
    while count := view.read_into(buffer):
        parts.append(bytes(buffer[:count]))
    assert b"".join(parts) == expected.tobytes("F")
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)


@pytest.mark.parametrize("places", PLACES)
def test_boxes_have_background_where_planes_are_left_out(places: list[int]) -> None:
    view, expected = spread(places)
    check_boxes(view, expected, 4, 60)
    check_boxes_from_threads(view, expected, 4)


def test_the_view_ends_and_closes_with_its_volume() -> None:
    view, _ = spread(PLACES[0])
    view.finish()
    view.close()
    assert (view.volume.finished, view.volume.closed) == (1, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("offsets", "step"),
    [
        ([0, 2, 4], 2.0),
        ([4, 0, 2, 2], 2.0),
        ([0, 2, 5], 1.0),
        ([0, 3, 7, 10], 1.0),
        ([0, 4, 9], 1.0),
        ([0, 1.5, 2.5], 0.5),
        ([0, 5, 11], None),  # the finer the lattice, the more fits it
        ([0, 2, 4, 6, 12.4], None),
        ([3], None),
        ([3, 3.0001], None),
        ([0, 2, math.nan], None),
    ],
)
def test_the_step_that_fits_all_planes(offsets: list[float], step: float | None) -> None:
    for shift in (0.0, -1234.5):
        found = common_step(np.array(offsets, float) + shift, 0.005)
        assert found == (None if step is None else pytest.approx(step))


def test_a_step_that_is_rounded_is_that_of_the_planes() -> None:
    planes = np.arange(300) * 1.9995
    assert fitted_step(planes, 2.0) == pytest.approx(1.9995)
    assert fitted_step(planes[[0, 7, 299]], 2.0) == pytest.approx(1.9995)
    assert fitted_step(planes, 2.5) is None
    assert fitted_step(np.zeros(1), 2.5) == 2.5
    for step in (0.0, -1.0, math.nan, math.inf):
        assert fitted_step(planes, step) is None


def test_what_needs_no_planes_is_left_as_it_is() -> None:
    one, other = volume(DATA), volume(DATA)
    assert on_one_lattice([one, other]) == [one, other]
    array = ArrayVolume(DATA, blocks=(1, 1, 1))
    assert on_one_lattice([one, array]) == [one, array]
    singular = volume(DATA, origin=4.0)
    singular.geometry = Geometry(DATA.shape, np.zeros((4, 4)), (0.0, 0.0, 0.0))
    assert on_one_lattice([one, singular]) == [one, singular]


def test_a_position_gone_wrong_is_not_hours_of_background() -> None:
    one = volume(DATA)
    for planes, times in ((PLANES_LIMIT, 1), (PLANES_LIMIT + 1, 0)):
        other = volume(DATA, origin=2.0 * (planes - DATA.shape[2]))
        found = on_one_lattice([one, other])
        assert [each.geometry.shape[2] for each in found] == ([planes] * 2 if times else [DATA.shape[2]] * 2)
