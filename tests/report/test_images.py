"""What was segmented, under the labels: which file it is, where it lies, how it is drawn; and the figure of arrays."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg.phantom import phantom_pair
from fastseg.report import pictures, write_report
from fastseg.report.images import Images
from fastseg.report.worst_cases import round_length
from fastseg.runs import evaluate_folder

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for case in range(2):
        pair = phantom_pair((24, 20, 16), 3, foreground=0.3, seed=case)
        image = pair[0] * 50.0 + np.random.default_rng(case).normal(size=pair[0].shape)
        named = {"gt/c": pair[0], "pred/c": pair[1], "images/c": image.astype(np.float32)}
        for name, voxels in named.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            ending = "_0000" if name.startswith("images") else ""
            write(tmp_path / f"{name}{case}{ending}.nii.gz", voxels, AFFINE)
    evaluate_folder(tmp_path / "gt", tmp_path / "pred", tmp_path / "out")
    return tmp_path


def test_images_lie_under_the_labels_of_the_worst_cases(folders: Path) -> None:
    plain = write_report(folders / "out").read_text()
    page = write_report(folders / "out", images=folders / "images").read_text()
    # Of each case and plane: the image alone, and once more under truth and under prediction.
    assert page.count("<image ") - plain.count("<image ") == 2 * 3 * 3
    assert page.count("<figcaption>Image</figcaption>") == 2 * 3
    assert "Image</figcaption>" not in plain
    assert len(re.findall(r'<text class="bar"[^>]*>\d+ mm</text>', page)) == 2 * 3
    assert 'opacity="0.5"' not in page
    assert 'opacity="0.5"' in write_report(folders / "out", images=folders / "images", fill=True).read_text()


def test_a_run_knows_its_images(folders: Path) -> None:
    run = evaluate_folder(folders / "gt", folders / "pred", folders / "out", images=folders / "images")
    assert run.facts["images"] == str(folders / "images")
    page = write_report(folders / "out", worst=1).read_text()
    assert page.count("<figcaption>Image</figcaption>") == 3


def test_an_image_that_is_missing_or_lies_elsewhere_is_left_out_and_said(folders: Path) -> None:
    (folders / "images" / "c0_0000.nii.gz").unlink()
    moved = AFFINE.copy()
    moved[0, 3] = 5
    write(folders / "images" / "c1_0000.nii.gz", np.zeros((24, 20, 16), np.float32), moved)
    plain = write_report(folders / "out").read_text()
    page = write_report(folders / "out", images=folders / "images").read_text()
    assert page.count("<image ") == plain.count("<image ")
    assert "no image: there is none for c0 in" in page
    assert "its corners lie up to 5 mm from those of" in page
    with pytest.raises(ValueError, match="images: .*expected a folder of volumes, found no such folder"):
        write_report(folders / "out", images=folders / "none")


def test_the_first_channel_is_the_image(tmp_path: Path) -> None:
    for name in ("a_0000", "a_0001", "b", "c_0003"):
        write(tmp_path / f"{name}.nii.gz", np.zeros((2, 2, 2), np.uint8))
    images = Images(tmp_path)
    assert [Path(images.of(case)).name for case in ("a", "b", "c")] == ["a_0000.nii.gz", "b.nii.gz", "c_0003.nii.gz"]


def test_grey_is_black_and_white_at_the_percentiles() -> None:
    from PIL import Image

    image = np.arange(101.0).reshape(1, -1)
    assert pictures.window(image, (10, 90)) == (10, 90)
    uri = pictures.grey_png(image, (10, 90))
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    np.testing.assert_array_equal(found, np.rint(np.clip((image - 10) / 80, 0, 1) * 255))
    assert pictures.window(np.full((2, 2), 7.0)) == (7, 8)
    assert pictures.window(np.full((2, 2), np.nan)) == (0, 1)


def test_an_outline_is_where_a_neighbour_is_another() -> None:
    labels = np.zeros((6, 6), int)
    labels[1:5, 1:5] = 3
    expected = labels.copy()
    expected[2:4, 2:4] = 0
    np.testing.assert_array_equal(pictures.outlined(labels), expected)


@pytest.mark.parametrize(("most", "expected"), [(33, 20), (50, 50), (9.9, 5), (0.13, 0.1), (1, 1)])
def test_bars_have_round_lengths(most: float, expected: float) -> None:
    assert round_length(most) == pytest.approx(expected)


def test_the_figure_of_arrays_shows_the_planes_of_the_error() -> None:
    true = np.zeros((30, 20, 10), np.uint8)
    true[5:25, 5:15, 2:8] = 1
    pred = true.copy()
    pred[20:24, 6:10, 3:6] = 2
    image = true + np.random.default_rng(0).random(true.shape)
    figure = fastseg.plot_overlay(image, true, pred, spacing=(1, 1, 3), names={2: "tumour"})
    assert len(figure.axes) == 9
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["axis 0 = 22", "axis 1 = 8", "axis 2 = 4"]
    shown = figure.axes[2].images[1].get_array()  # the outlines of the prediction, across axis 0
    drawn = pictures.outlined(pred[22])
    assert (np.asarray(shown)[..., 3] > 0).sum() == (drawn != 0).sum()
    assert any(line.get_gid() == "bar" for line in figure.axes[0].lines)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "tumour"]
    filled = fastseg.plot_overlay(image[:, :, 4], true[:, :, 4], pred[:, :, 4], fill=True)
    assert len(filled.axes) == 3
    assert not filled.axes[0].lines  # of unknown length
    figure.savefig(io.BytesIO(), format="png", dpi=30)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"y_pred": np.zeros((3, 3), int)}, "y_pred: expected the shape of image"),
        ({"y_true": np.zeros((4, 4))}, "y_true: expected integers, found float64"),
        (
            {"image": np.zeros(4), "y_true": np.zeros(4, int), "y_pred": np.zeros(4, int)},
            "image: expected two or three",
        ),
        ({"spacing": (1, 0)}, "spacing: expected 2 numbers above 0"),
        ({"window": (5, 5)}, "window: expected two percentiles"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changed: Any, match: str) -> None:
    given = {"image": np.zeros((4, 4)), "y_true": np.zeros((4, 4), int), "y_pred": np.zeros((4, 4), int)} | changed
    with pytest.raises((TypeError, ValueError), match=match):
        fastseg.plot_overlay(**given)
