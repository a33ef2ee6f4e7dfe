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


@pytest.mark.parametrize(("suffix", "other"), [*zip(SUFFIXES, SUFFIXES, strict=True), ("png", "tif"), ("tif", "gif")])
def test_the_same_colours_in_another_order_are_compared_by_colour(tmp_path: Path, suffix: str, other: str) -> None:
    true = picture(tmp_path / f"t.{suffix}", TRUE, BLACK, RED, GREEN)
    turned = np.array([0, 2, 1], "u1")
    pred = picture(tmp_path / f"p.{other}", turned[PRED], BLACK, GREEN, RED)
    notes: list[str] = []
    for labels in (None, range(3)):
        assert fastseg.count_files(true, pred, labels=labels, warn=notes.append) == fastseg.count_labels(
            TRUE, PRED, labels=labels
        )
        assert "compared by colour, as its palette is in another order" in notes[-1]
        assert "its indexes stand 1 for 2, 2 for 1;" in notes[-1]
        as_they_are = fastseg.count_labels(TRUE, turned[PRED], labels=labels)
        assert fastseg.count_files(true, pred, labels=labels, map_prediction={0: 0}) == as_they_are
        assert fastseg.count_files(true, pred, labels=labels, map_prediction="0=0") == as_they_are
        greys = tmp_path / "greys.png"
        Image.fromarray(turned[PRED]).save(greys)
        assert fastseg.count_files(true, greys, labels=labels) == as_they_are


def test_palettes_that_agree_are_compared_by_index(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    for colours in ((BLACK, RED, GREEN, BLUE), (BLACK, RED, GREEN)):
        pred = picture(tmp_path / "p.png", PRED, *colours)
        assert fastseg.count_files(true, pred) == fastseg.count_labels(TRUE, PRED)


@pytest.mark.parametrize("colours", [(BLACK, BLUE, PINK), (PINK, BLUE, (9, 9, 9)), (BLACK, RED, PINK)])
def test_palettes_of_other_colours_are_refused(tmp_path: Path, colours: Any) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    pred = picture(tmp_path / "p.png", PRED, *colours)
    with pytest.raises(VolumeError, match=r"p\.png: expected colours that .*t\.png has in its palette, found \("):
        fastseg.count_files(true, pred)
    assert fastseg.count_files(true, pred, map_prediction={0: 0}) == fastseg.count_labels(TRUE, PRED)


def test_colours_that_a_writer_left_out(tmp_path: Path) -> None:
    """It says 1 for what is 2 in the other file, as that has a colour between."""
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    pred = picture(tmp_path / "p.png", (TRUE == 2).astype("u1"), BLACK, GREEN)
    expected = fastseg.count_labels(TRUE, np.where(TRUE == 2, 2, 0))
    assert fastseg.count_files(true, pred, warn=lambda _: None) == expected
    with pytest.raises(
        VolumeError, match=r"t\.png: expected colours that .*p\.png has in its palette, found \(200, 0, 0\)"
    ):
        fastseg.count_files(pred, true)


def test_colours_without_a_voxel_say_nothing(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN, BLUE, PINK)
    pred = picture(tmp_path / "p.png", PRED, BLACK, RED, GREEN, PINK, BLUE)
    assert fastseg.count_files(true, pred) == fastseg.count_labels(TRUE, PRED)


def test_colours_at_several_indexes(tmp_path: Path) -> None:
    """A colour that an index has in both files means that index, whichever others are filled up with it."""
    filled = picture(tmp_path / "t.png", np.array([5, 1, 2], "u1")[TRUE], BLACK, RED, GREEN, BLACK, BLACK, BLACK)
    pred = picture(tmp_path / "p.png", PRED, BLACK, RED, GREEN)
    assert fastseg.count_files(filled, pred) == fastseg.count_labels(np.array([5, 1, 2])[TRUE], PRED)
    twice = picture(tmp_path / "2.png", np.array([0, 3, 2], "u1")[TRUE], RED, GREEN, BLUE, RED)
    with pytest.raises(VolumeError, match=r"2\.png has at one index, found \(200, 0, 0\) at index 1"):
        fastseg.count_files(twice, pred := picture(tmp_path / "q.png", np.minimum(PRED, 1), GREEN, RED))
    assert pred.exists()


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN, BLUE, PINK)
    pred = picture(tmp_path / "p.png", PRED, BLACK, RED, PINK)
    with pytest.raises(ValueError, match=r"found \d+ voxel\(s\) that are not; the first is 2, mapped to 4, at index"):
        fastseg.count_files(true, pred, num_classes=3, warn=lambda _: None)


def test_a_case_of_a_run_has_the_note(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, BLACK, RED, GREEN)
    pred = picture(tmp_path / "p.png", np.array([0, 2, 1], "u1")[PRED], BLACK, GREEN, RED)
    (record,) = fastseg.evaluate_folder(true, pred).records
    assert record.status == "scored"
    assert "compared by colour" in record.notes[0]


def test_references_in_unlike_order_are_noted(tmp_path: Path) -> None:
    """Each case has its own palette, so that label 1 is red in one and green in the other."""
    for name, colours in {"a": (BLACK, RED, GREEN), "b": (BLACK, GREEN, RED)}.items():
        for folder in ("t", "p"):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture(tmp_path / folder / f"{name}.png", TRUE, *colours)
    notes: list[str] = []
    run = fastseg.evaluate_folder(tmp_path / "t", tmp_path / "p", note=notes.append)
    assert not run.failed
    (note,) = notes
    assert note.startswith("warning: references whose palettes are in unlike order")
    assert "which have other colours at index 1: each case is compared by its own" in note
    picture(tmp_path / "t" / "b.png", TRUE, BLACK, RED, GREEN, BLUE)
    picture(tmp_path / "p" / "b.png", TRUE, BLACK, RED, GREEN)
    notes.clear()
    fastseg.evaluate_folder(tmp_path / "t", tmp_path / "p", note=notes.append)
    assert notes == []
