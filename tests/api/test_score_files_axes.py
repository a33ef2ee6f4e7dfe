"""Axes of files of scores: those that shapes tell, and those that somebody has to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.score_files import SHAPE, C, P, T, same, save
from support.volumes_on_disk import write

from fastseg import sum_scores
from fastseg.api.score_files import sum_files
from fastseg.volumes import VolumeError
from fastseg.volumes.sources import holds_scores

pytestmark = pytest.mark.usefixtures("slab")


def test_the_order_of_the_axes_of_a_single_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    labels, scores = rng.integers(0, 2, (4, 5, 4)).astype("u1"), rng.random((4, 5, 4)).astype("f4")
    reference, prediction = write(tmp_path / "t.nii.gz", labels), save(tmp_path / "p.npy", scores)
    with pytest.raises(
        VolumeError, match=r"no channel axis \(in order\) or .*reversed.*axes='xyz' or axes='zyx' \(--axes\)$"
    ):
        sum_files(reference, prediction)
    expected, turned = (sum_scores(true, scores, channel_axis=None) for true in (labels, labels.T))
    same(sum_files(reference, prediction, axes="xyz"), expected)
    same(sum_files(reference, prediction, axes="zyx"), turned)
    same(sum_files(save(tmp_path / "t.npy", labels), prediction), expected)
    same(sum_files(reference, write(tmp_path / "p.nii", scores), axes="zyx"), expected)  # which names its axes
    same(sum_files(reference, save(tmp_path / "q.npy", scores[None]), channel_axis=0), expected)
    same(sum_files(reference, tmp_path / "q.npy", channel_axis=0, axes="zyx"), turned)
    with pytest.raises(VolumeError, match=r"p.npy: expected axes='xyz' or axes='zyx', found axes='yxz'"):
        sum_files(reference, prediction, axes="yxz")
    longer = save(tmp_path / "r.npy", rng.random((4, 5, 6)).astype("f4"))
    with pytest.raises(VolumeError, match=r"r.npy: expected the shape .* found \(4, 5, 6\) \(axes='zyx'\)"):
        sum_files(write(tmp_path / "long.nii", rng.integers(0, 2, (4, 5, 6)).astype("u1")), longer, axes="zyx")
    row = write(tmp_path / "row.nii", labels[:1, :, :1])
    same(
        sum_files(row, save(tmp_path / "row.npy", scores[:1, :, :1])),
        sum_scores(labels[:1, :, :1], scores[:1, :, :1], channel_axis=None),
    )


def test_a_picture_has_its_axes_in_the_order_of_arrays(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    labels, scores = T[:6, :, 0], np.ascontiguousarray(np.moveaxis(P[:6, :, 0], -1, 0))
    pillow.fromarray(labels).save(tmp_path / "t.png")
    np.savez(tmp_path / "p.npz", probabilities=scores)
    same(sum_files(tmp_path / "t.png", tmp_path / "p.npz"), sum_scores(labels, scores, channel_axis=0))
    assert not holds_scores(tmp_path / "t.png", save(tmp_path / "p.npy", labels[None]))


def test_axes_that_shapes_do_not_tell(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 4, (4, 5, 6)).astype("u1")
    scores = np.zeros((4, 4, 5, 6), "f4")
    np.put_along_axis(scores, labels[None].astype(int), 1, 0)
    reference, prediction = write(tmp_path / "t.nii", labels), save(tmp_path / "p.npy", scores)
    with pytest.raises(
        VolumeError,
        match=r"p.npy: .*channel axis 0 \(in order\) or channel axis 1 \(in order\); say which with channel_axis",
    ):
        sum_files(reference, prediction)
    expected = sum_scores(labels, scores, channel_axis=0)
    same(sum_files(reference, prediction, channel_axis=0), expected)
    assert (np.diag(expected.argmax_counts.matrix[0]).sum()) == labels.size

    cube, both = labels[:, :4, :4], np.ascontiguousarray(scores[:3, :, :4, :4] + 0.0)
    both = np.concatenate([both, 1 - both.sum(0, keepdims=True)])[:, :, ::-1]
    cube_reference = write(tmp_path / "cube.nii", cube)
    cubes = save(tmp_path / "cube.npy", both[[0, 1, 2, 3, 3]] * np.float32([1, 1, 1, 0.5, 0.5])[:, None, None, None])
    with pytest.raises(
        VolumeError, match=r"channel axis 0 \(in order\) or channel axis 0 \(reversed\); .*--axes\) or channel_axis"
    ):
        sum_files(cube_reference, cubes)
    same(sum_files(cube_reference, cubes, channel_axis=0), sum_scores(cube, np.load(cubes), channel_axis=0))
    same(sum_files(cube_reference, cubes, axes="zyx"), sum_scores(cube.T, np.load(cubes), channel_axis=0))
    same(sum_files(save(tmp_path / "cube_t.npy", cube), cubes), sum_scores(cube, np.load(cubes), channel_axis=0))
    np.savez(
        tmp_path / "cube.npz", probabilities=np.load(cubes)
    )  # nnU-Net's are reversed, also where that cannot be seen
    same(sum_files(cube_reference, tmp_path / "cube.npz"), sum_scores(cube.T, np.load(cubes), channel_axis=0))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((7, 6, 8, C), {}, r"expected the shape \(7, 6, 9\) of .*t.nii.gz and .*class.*; found \(7, 6, 8, 4\)"),
        ((7, 6), {}, "one axis more"),
        ((*SHAPE, 1, C), {}, "one axis more"),
        ((*SHAPE, C), {"channel_axis": 0}, "the classes along axis 0"),
        ((*SHAPE, C), {"channel_axis": 4}, "channel_axis: expected an axis of arrays with 4 axes, found 4"),
        ((*SHAPE, C), {"geometry": "maybe"}, "geometry: expected one of"),
        ((*SHAPE, C), {"activation": "tanh"}, "activation: expected None"),
    ],
)
def test_wrong_shapes_and_options(tmp_path: Path, reference: Path, shape: Any, options: Any, message: str) -> None:
    prediction = save(tmp_path / "p.npy", np.full(shape, 1 / C, "f4"))
    with pytest.raises(ValueError, match=message):
        sum_files(reference, prediction, **options)
    if len(shape) == 4 and not options:
        with pytest.raises(ValueError, match=message):
            sum_files(reference, write(tmp_path / "p.nii", np.load(prediction)), **options)
