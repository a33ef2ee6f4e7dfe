"""Pictures of indexes: they are the labels, unless the palettes of the two files have the same colours in another order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.volumes import VolumeError, open_volume

Image: Any = pytest.importorskip("PIL.Image")
tifffile: Any = pytest.importorskip("tifffile")

BLACK, RED, GREEN, BLUE, PINK = (0, 0, 0), (200, 0, 0), (0, 200, 0), (0, 0, 201), (200, 100, 150)
TRUE = np.random.default_rng(0).integers(0, 3, (9, 7), "u1")
PRED = np.where(np.random.default_rng(1).random((9, 7)) < 0.7, TRUE, 1).astype("u1")
SUFFIXES = ("png", "gif", "bmp", "tif")


def picture(path: Path, data: np.ndarray, *colours: tuple[int, int, int]) -> Path:
    """Write indexes of colours."""
    if path.suffix == ".tif":
        table = np.zeros((3, 256), "u2")
        table[:, : len(colours)] = np.array(colours).T * 257
        tifffile.imwrite(path, data, photometric="palette", colormap=table)
    else:
        image = Image.fromarray(data)
        image.putpalette(sum(colours, ()))
        image.save(path, optimize=False)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_palettes_are_read_as_red_green_and_blue(tmp_path: Path, suffix: str) -> None:
    with open_volume(picture(tmp_path / f"case.{suffix}", TRUE, BLACK, RED, PINK, BLUE)) as volume:
        assert volume.palette is not None
        assert volume.palette[:4].tolist() == [[*BLACK], [*RED], [*PINK], [*BLUE]]
        np.testing.assert_array_equal(volume.read_block((0, 0), TRUE.shape), TRUE)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("other", SUFFIXES)
@pytest.mark.parametrize("labels", [None, range(3)])
def test_the_same_colours_in_another_order_are_refused(tmp_path: Path, suffix: str, other: str, labels: Any) -> None:
    true = picture(tmp_path / f"t.{suffix}", TRUE, BLACK, RED, GREEN)
    turned = np.array([0, 2, 1], "u1")
    pred = picture(tmp_path / f"p.{other}", turned[PRED], BLACK, GREEN, RED)
    message = (
        rf"p\.{other}: expected a palette in the order of that of .*t\.{suffix}, .* "
        r"found the colour \(0, 200, 0\) at index 1, and there at 2; map_prediction"
    )
    with pytest.raises(VolumeError, match=message):
        fastseg.count_files(true, pred, labels=labels)
    expected = fastseg.count_labels(TRUE, PRED, labels=labels)
    assert fastseg.count_files(true, pred, labels=labels, map_prediction={1: 2, 2: 1}) == expected
    greys = tmp_path / "greys.png"
    Image.fromarray(turned[PRED]).save(greys)
    assert fastseg.count_files(true, greys, labels=labels) == fastseg.count_labels(TRUE, turned[PRED], labels=labels)


@pytest.mark.parametrize(
    "colours", [(BLACK, RED, GREEN, BLUE), (BLACK, RED, GREEN), (BLACK, BLUE, PINK), (PINK, BLUE, (9, 9, 9))]
)
def test_palettes_of_the_same_or_other_colours_are_compared_by_index(tmp_path: Path, colours: Any) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    pred = picture(tmp_path / "p.png", PRED, *colours)
    for declared in (None, range(3)):
        assert fastseg.count_files(true, pred, labels=declared) == fastseg.count_labels(TRUE, PRED, labels=declared)


def test_colours_that_a_writer_left_out_are_missed(tmp_path: Path) -> None:
    """It says 1 for what is 2 in the other file, as that has a colour between."""
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    pred = picture(tmp_path / "p.png", (TRUE == 2).astype("u1"), BLACK, GREEN)
    with pytest.raises(VolumeError, match=r"found the colour \(0, 200, 0\) at index 1, and there at 2"):
        fastseg.count_files(true, pred)
    with pytest.raises(VolumeError, match=r"found the colour \(0, 200, 0\) at index 2, and there at 1"):
        fastseg.count_files(pred, true)


def test_colours_without_a_voxel_say_nothing(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN, BLUE, PINK)
    pred = picture(tmp_path / "p.png", PRED, BLACK, RED, PINK, GREEN, BLUE)
    assert fastseg.count_files(true, pred) == fastseg.count_labels(TRUE, PRED)


def test_colours_at_several_indexes_say_nothing(tmp_path: Path) -> None:
    """As where a palette is filled up with black, and has labels beyond its colours."""
    true = picture(tmp_path / "t.png", np.array([5, 0, 2], "u1")[TRUE], BLACK, RED, GREEN, BLACK, BLACK, BLACK)
    pred = picture(tmp_path / "p.png", PRED, BLACK, RED, PINK)
    assert fastseg.count_files(true, pred) == fastseg.count_labels(np.array([5, 0, 2])[TRUE], PRED)
    assert fastseg.count_files(pred, true) == fastseg.count_labels(PRED, np.array([5, 0, 2])[TRUE])


def test_a_case_of_a_run_fails_with_that_reason(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    (record,) = fastseg.evaluate_folder(true, picture(tmp_path / "p.png", PRED, BLACK, GREEN, RED)).records
    assert record.status == "failed"
    assert record.reason is not None
    assert "expected a palette in the order of that of" in record.reason
