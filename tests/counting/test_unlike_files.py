"""Pairs of files that differ in format, memory order, axes or orientation count as the arrays that they hold."""

from __future__ import annotations

import gc
import gzip
import importlib.util
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg.arrays.classes import label_classes
from fastseg.counting import boxes, streams as streaming
from fastseg.counting.files import count_with_facts
from fastseg.counting.stored_labels import label_blocks
from fastseg.volumes import GeometryError, VolumeError, geometry, open_volume, views as views_module
from fastseg.volumes.geometry import turned_affine
from fastseg.volumes.side_by_side import open_aligned

RNG = np.random.default_rng(1)
T = RNG.integers(0, 5, (6, 7, 9), "u1")
P = np.where(RNG.random(T.shape) < 0.3, RNG.integers(0, 5, T.shape), T).astype("u1")
INSIDE = RNG.random(T.shape) < 0.6
EXPECTED = fastseg.count_labels(T, P, num_classes=5)
WITHIN = fastseg.count_labels(T, P, num_classes=5, mask=INSIDE)
OBLIQUE = np.array([[1.2, 0.1, -0.3, 5], [-0.15, 0.9, 0.2, -6], [0.3, 0.1, 2.5, 7], [0, 0, 0, 1.0]])


def library(name: str) -> Any:
    return pytest.importorskip(name)


def write_itk(path: Path, voxels: np.ndarray, compress: bool) -> None:
    itk = library("SimpleITK")
    image = itk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    if voxels.ndim == 3:
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # of the affine that is the unit matrix
    itk.WriteImage(image, str(path), compress)


def write_mgh(path: Path, voxels: np.ndarray) -> None:
    nibabel = library("nibabel")
    nibabel.save(nibabel.MGHImage(voxels, np.eye(4)), path)


def write_pair(path: Path, voxels: np.ndarray) -> None:
    nibabel = library("nibabel")
    nibabel.save(nibabel.Nifti1Pair(voxels, np.eye(4)), path)


def write_zarr(path: Path, voxels: np.ndarray, version: int) -> None:
    array = library("zarr").create_array(
        str(path), shape=voxels.shape, chunks=(4, 3, 5)[: voxels.ndim], dtype=voxels.dtype, zarr_format=version
    )
    array[:] = voxels


def write_hdf5(path: Path, voxels: np.ndarray, **options: Any) -> None:
    with library("h5py").File(path, "w") as file:
        file.create_dataset("labels", data=voxels, **options)


def write_tiff(path: Path, voxels: np.ndarray, **options: Any) -> None:
    if options.get("compression"):
        library("imagecodecs")
    library("tifffile").imwrite(path, voxels.T, photometric="minisblack", **options)


Writer = Callable[[Path, np.ndarray], object]

#: How to write (x, y, z) voxels, by a suffix; the axes of files that do not name them are x, y, z, but for "zyx.npy".
WRITERS: dict[str, Writer] = {
    ".nii": write,
    ".nii.gz": write,
    ".hdr": write_pair,
    ".mgh": write_mgh,
    ".mgz": write_mgh,
    ".nrrd": lambda path, voxels: write_itk(path, voxels, False),
    "deflated.nrrd": lambda path, voxels: write_itk(path, voxels, True),
    ".mha": lambda path, voxels: write_itk(path, voxels, False),
    "deflated.mha": lambda path, voxels: write_itk(path, voxels, True),
    ".mhd": lambda path, voxels: write_itk(path, voxels, False),
    "c.npy": lambda path, voxels: np.save(path, np.asarray(voxels, order="C")),
    "f.npy": lambda path, voxels: np.save(path, np.asfortranarray(voxels)),
    "zyx.npy": lambda path, voxels: np.save(path, np.ascontiguousarray(voxels.T)),
    ".npz": lambda path, voxels: np.savez(path, voxels),
    "deflated.npz": lambda path, voxels: np.savez_compressed(path, np.ascontiguousarray(voxels)),
    ".tif": write_tiff,
    "ome.tiff": lambda path, voxels: write_tiff(path, voxels, metadata={"axes": "ZYX"[-voxels.ndim :]}),
    "tiled.tif": lambda path, voxels: write_tiff(path, voxels, tile=(16, 16), compression="zlib"),
    "2.zarr": lambda path, voxels: write_zarr(path, voxels, 2),
    "3.zarr": lambda path, voxels: write_zarr(path, voxels, 3),
    ".h5": write_hdf5,
    "chunked.h5": lambda path, voxels: write_hdf5(path, voxels, chunks=(3, 4, 2)[: voxels.ndim], compression="gzip"),
}
PICTURES: dict[str, Writer] = {
    suffix: lambda path, voxels: library("PIL.Image").fromarray(np.ascontiguousarray(voxels.T)).save(path)
    for suffix in (".png", ".bmp", ".gif", ".pgm")
}
NEEDS = {
    ".nrrd": "SimpleITK", ".mha": "SimpleITK", ".mhd": "SimpleITK", ".tif": "tifffile", ".tiff": "tifffile", ".zarr": "zarr",
    ".h5": "h5py", ".png": "PIL", ".bmp": "PIL", ".gif": "PIL", ".pgm": "PIL",
}  # fmt: skip


def there(writers: dict[str, Writer]) -> list[str]:
    """Return the formats whose libraries are installed."""
    needed = {name: NEEDS.get(Path(f"a{name}").suffix) for name in writers}
    return [name for name, module in needed.items() if module is None or importlib.util.find_spec(module) is not None]


def put(path: Path, suffix: str, voxels: np.ndarray) -> Path:
    path = path.with_name(path.name + suffix)
    if not path.exists():
        {**WRITERS, **PICTURES}[suffix](path, voxels)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


UNNAMED = (".npy", ".npz", ".zarr", ".h5")


@pytest.mark.parametrize("true", there(WRITERS))
def test_every_pair_of_formats(true: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = put(folder / "t-", true, T)
    roi = put(folder / "i-", "f.npy", INSIDE.astype("i2"))
    for number, pred in enumerate(there(WRITERS)):
        b = put(folder / "p-", pred, P)
        monkeypatch.setattr(boxes, "BOX_BYTES", (50, 4 << 20)[number % 2])
        monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", (0, 1 << 20)[number // 2 % 2])
        reversed_ones = [true, pred].count("zyx.npy")
        if reversed_ones == 1 and true.endswith(UNNAMED) and pred.endswith(UNNAMED):
            with pytest.raises(GeometryError, match=r"expected the shape \(\d, 7, \d\)"):
                fastseg.count_files(a, b)
            continue
        assert fastseg.count_files(a, b, num_classes=5, threads=1 + number % 3) == EXPECTED, (true, pred)
        if not reversed_ones:
            assert fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi) == WITHIN, (true, pred)


def test_every_pair_of_pictures(tmp_path: Path) -> None:
    t, p = T[:, :, 0], P[:, :, 0]
    expected = fastseg.count_labels(t, p, num_classes=5)
    single = {
        name: WRITERS[name] for name in (".nii", ".nii.gz", ".mgz", ".nrrd", ".tif", "c.npy", "zyx.npy", "3.zarr")
    }
    for one, other in itertools.product(there(PICTURES), there(PICTURES | single)):
        slab = other in (".nii", ".nii.gz", ".mgz")
        a, b = put(tmp_path / "t-", one, t), put(tmp_path / "p-", other, p[..., None] if slab else p)
        assert fastseg.count_files(a, b, num_classes=5) == expected, (one, other)
        back = fastseg.count_files(b, a, num_classes=5)
        assert np.array_equal(back.matrix[0], expected.matrix[0].T), (other, one)


def test_a_picture_says_where_slices_are_looked_at(tmp_path: Path) -> None:
    """The mask has fewer axes than the two before it."""
    library("PIL.Image")
    t, p, inside = T[:, :, :1], P[:, :, :1], INSIDE[:, :, 0].astype("u1")
    expected = fastseg.count_labels(t, p, num_classes=5, mask=INSIDE[:, :, :1])
    roi = put(tmp_path / "i-", ".png", inside)
    for one, other in itertools.product((".nii.gz", ".nii", "c.npy", "zyx.npy"), repeat=2):
        a, b = put(tmp_path / "t-", one, t), put(tmp_path / "p-", other, p)
        if {one, other} == {"c.npy", "zyx.npy"}:
            continue  # two plain arrays that differ in shape
        assert fastseg.count_files(a, b, num_classes=5, roi=roi) == expected, (one, other)


@pytest.mark.parametrize("limit", [1 << 20, 0])
@pytest.mark.parametrize("names", [(".nii.gz", "c.npy"), ("deflated.npz", ".nii.gz"), (".mgz", "deflated.npz")])
def test_what_is_unpacked_is_gone_afterwards(
    names: tuple[str, str], limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    a, b = put(tmp_path / "t-", names[0], T), put(tmp_path / "p-", names[1], P)
    opened = descriptors()
    assert fastseg.count_files(a, b, num_classes=5) == EXPECTED
    with pytest.raises(ValueError, match=r"expected labels among the 3 classes 0..2, found \d+ voxel"):
        fastseg.count_files(a, b, num_classes=3)
    blocks = label_blocks(a, b)
    next(blocks)
    blocks.close()

    def broken(*_: Any) -> None:
        raise RuntimeError("the bar broke")

    with pytest.raises(RuntimeError, match="the bar broke"):
        fastseg.count_files(a, b, progress=broken, threads=2)
    gc.collect()
    assert descriptors() == opened
    assert not list(temporary.iterdir())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("pred", ["c.npy", "f.npy"])
def test_damage_is_found_whichever_way_it_is_read(pred: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, b = write(tmp_path / "t.nii.gz", T), put(tmp_path / "p-", pred, P)
    data = good.read_bytes()
    for limit, broken in itertools.product((1 << 20, 0), (data[:-1], data[:-8] + b"\1" + data[-7:], data[:100])):
        monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
        good.write_bytes(broken)
        for first, second in ((good, b), (b, good)):
            with pytest.raises(VolumeError, match=r"t\.nii\.gz: "):
                fastseg.count_files(first, second, num_classes=5)


# ---- Orientation


@pytest.mark.parametrize("affine", [np.diag([0.5, 1.0, 3.0, 1.0]), OBLIQUE], ids=["boxes", "oblique"])
def test_every_orientation_counts_as_the_original(affine: np.ndarray, tmp_path: Path) -> None:
    nibabel = library("nibabel")
    a = write(tmp_path / "t.nii.gz", T, affine)
    image, inside = (nibabel.Nifti1Image(v, affine) for v in (P, INSIDE.astype("u1")))
    for number, (axes, signs) in enumerate(
        itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    ):
        turn = np.array(list(zip(axes, signs, strict=True)))
        b = tmp_path / f"p{number}{('.nii', '.nii.gz', '.mgz')[number % 3]}"
        roi = tmp_path / f"i{number}.nii"
        turned = image.as_reoriented(turn)
        nibabel.save(nibabel.MGHImage(np.asarray(turned.dataobj), turned.affine) if number % 3 == 2 else turned, b)
        nibabel.save(inside.as_reoriented(turn[::-1] if number % 2 else turn), roi)
        note: list[str] = []
        counts, files, _ = count_with_facts(a, b, classes=label_classes(5, None, None), reorient=True, warn=note.append)
        assert counts == EXPECTED, turn
        assert (files["geometry"], files["shape"]) == ("equal", list(T.shape))
        if number % 4 == 0:
            assert fastseg.count_files(a, b, num_classes=5, reorient=True, roi=roi) == WITHIN
            joined = np.full((2, *T.shape), -1)
            for block in label_blocks(a, b, reorient=True, map_prediction={1: 2, 2: 1}):
                box = tuple(slice(i, i + n) for i, n in zip(block.start, block.true.shape, strict=True))
                assert (joined[(0, *box)] == -1).all()
                joined[(0, *box)], joined[(1, *box)] = block.true, block.pred
            assert np.array_equal(joined[0], T)
            assert np.array_equal(joined[1], np.array([0, 2, 1, 3, 4])[P])
        if number:
            with pytest.raises(GeometryError, match="flip or permutation of axes|shape"):
                fastseg.count_files(a, b)


def test_what_lies_as_it_should_is_left_alone(tmp_path: Path) -> None:
    a, b = write(tmp_path / "t.nii", T, OBLIQUE), write(tmp_path / "p.nii", P, OBLIQUE)
    with open_aligned([a, b], reorient=True) as (volumes, note):
        assert [type(volume).__name__ for volume in volumes] == ["NiftiVolume", "NiftiVolume"]
        assert note is None


def test_only_flips_and_permutations_are_resolved(tmp_path: Path) -> None:
    moved = np.diag([-1.0, 1, 1, 1])
    moved[0, 3] = T.shape[0] - 1
    a, flipped = write(tmp_path / "t.nii", T), write(tmp_path / "flipped.nii", P[::-1], moved)
    assert fastseg.count_files(a, flipped, num_classes=5, reorient=True) == EXPECTED
    moved[0, 3] += 1
    for policy, message in (("error", "translation|affines differ"), ("warn", "")):
        b = write(tmp_path / "p.nii", P[::-1], moved)
        if policy == "error":
            with pytest.raises(GeometryError, match=message):
                fastseg.count_files(a, b, reorient=True)
        else:
            notes: list[str] = []
            fastseg.count_files(a, b, reorient=True, geometry="warn", warn=notes.append)
            assert len(notes) == 1
    b = write(tmp_path / "cut.nii", P[:-1])
    with pytest.raises(GeometryError, match=r"cut.nii: expected the shape \(6, 7, 9\) of .*t.nii, found \(5, 7, 9\)"):
        fastseg.count_files(a, b, reorient=True, geometry="ignore")


@pytest.mark.parametrize("angle", [30.0, 44.0, 45.0, 46.0, 60.0, 90.0])
def test_any_angle_is_resolved(angle: float) -> None:
    """At 45 degrees an axis is as near to one axis of space as to another."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.diag([1.0, 1.0, 2.0])
    shape = (6, 7, 9)
    reference = geometry.Geometry(shape, affine, (1.0, 1.0, 2.0))
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            turned = turned_affine(affine, shape, axes, flips)
            other = geometry.Geometry(tuple(shape[axis] for axis in axes), turned, (1.0, 1.0, 1.0))
            found = geometry.reorientation(reference, other)
            inverse = tuple(int(axis) for axis in np.argsort(axes))
            expected = (inverse, tuple(flips[axis] for axis in inverse))
            assert found == (None if expected == ((0, 1, 2), (False,) * 3) else expected)


@pytest.mark.parametrize("kind", ["nan", "zero", "singular"])
def test_affines_that_place_nothing(kind: str, tmp_path: Path) -> None:
    bad = {"nan": np.full((4, 4), np.nan), "zero": np.zeros((4, 4)), "singular": np.ones((4, 4))}[kind]
    a = write(tmp_path / "t.nii", T)
    b = write(tmp_path / "p.nii", P)
    header = bytearray(b.read_bytes())  # nibabel would repair it
    header[254:256] = np.int16(1).tobytes()
    header[280:328] = bad[:3].astype("<f4").tobytes()
    b.write_bytes(bytes(header))
    for first, second in ((a, b), (b, a), (b, b)):
        for reorient in (False, True):
            with pytest.raises(GeometryError, match="an affine that places voxels, found one that is"):
                fastseg.count_files(first, second, reorient=reorient)
            with pytest.warns(UserWarning, match="affine that places voxels"):
                fastseg.count_files(first, second, reorient=reorient, geometry="warn")
            fastseg.count_files(first, second, reorient=reorient, geometry="ignore")


@pytest.mark.parametrize("shape", [(54, 7), (378,), (9, 7, 3, 2)])
def test_other_numbers_of_axes(shape: tuple[int, ...], tmp_path: Path) -> None:
    t, p = T.reshape(shape), P.reshape(shape)
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = shape[0] - 1
    a, b = write(tmp_path / "t.nii.gz", t), write(tmp_path / "p.nii.gz", p)
    flipped = write(tmp_path / "flipped.nii.gz", p[::-1], flip)
    assert fastseg.count_files(a, b, num_classes=5, reorient=True) == EXPECTED
    assert fastseg.count_files(a, flipped, num_classes=5, reorient=True) == EXPECTED
    array = put(tmp_path / "p-", "zyx.npy", p)
    assert fastseg.count_files(a, array, num_classes=5) == EXPECTED
    other = write(tmp_path / "other.nii.gz", T)
    with pytest.raises(GeometryError, match=r"expected the shape"):
        fastseg.count_files(a, other, reorient=True, geometry="ignore")


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}], ids=["plain", "imagej", "ome"])
def test_axes_are_not_those_of_a_tiff_which_names_its_own(tmp_path: Path, options: dict[str, Any]) -> None:
    """Also where the shape would allow both."""
    t, p = T[:, :6, :6], P[:, :6, :6]
    reference, prediction = put(tmp_path / "t-", ".nii.gz", t), tmp_path / "p.tif"
    metadata = {"metadata": {"axes": "ZYX"}} if options else {}
    library("tifffile").imwrite(prediction, p.T.copy(), photometric="minisblack", **options, **metadata)
    expected = fastseg.count_labels(t, p, num_classes=5)
    for axes in (None, "zyx", "xyz"):
        assert fastseg.count_files(reference, prediction, num_classes=5, axes=axes) == expected
    array = put(tmp_path / "t-", "c.npy", t)  # of x, y and z, while the TIFF is of z, y and x
    assert fastseg.count_files(array, prediction, num_classes=5, axes="xyz") == expected


# ---- Closed files


@pytest.mark.parametrize("suffix", there(WRITERS) + there(PICTURES))
@pytest.mark.parametrize("turned", [False, True])
def test_a_closed_volume_is_not_read(suffix: str, turned: bool, folder: Path) -> None:
    path = put(folder / "closed-", suffix, T[..., 0] if suffix in PICTURES else T)
    volume = open_volume(path)
    shape = volume.geometry.shape
    if turned:
        volume = views_module.Turned(volume, tuple(range(len(shape))), (False,) * len(shape))
    if volume.streams:
        volume.read_into(bytearray(3))  # of which a decompressor has more
    volume.close()
    volume.close()
    calls: list[Callable[[], Any]] = []
    if volume.streams:
        calls += [lambda: volume.read_into(bytearray(3)), volume.finish]
    if volume.blocks is not None:
        calls.append(lambda: volume.read_block((0,) * len(shape), shape))
    for call in calls:
        with pytest.raises(VolumeError, match=rf"^{path}: (\S+: )?the volume is closed$"):
            call()
    assert calls


# ---- Regions and labels


def test_a_region_is_where_the_stored_value_is_not_zero(tmp_path: Path) -> None:
    a, b = write(tmp_path / "t.nii", T), put(tmp_path / "p-", "c.npy", P)
    roi = write(tmp_path / "roi.nii", INSIDE.astype("i2"))
    raw = bytearray(roi.read_bytes())
    raw[112:120] = np.array([0.5, 0], "<f4").tobytes()
    roi.write_bytes(bytes(raw))
    assert fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi) == WITHIN
    raw[112:120] = np.array([1, -1], "<f4").tobytes()
    roi.write_bytes(bytes(raw))
    with pytest.raises(VolumeError, match=r"roi.nii: expected a region of interest, found one whose 0 stands for -1"):
        fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi)


@pytest.mark.parametrize("chunk", [64, 1 << 20])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", "c.npy"])  # as streams, in boxes, and in boxes of unlike orders
@pytest.mark.parametrize("slope", [0, 0.5])
def test_a_region_that_is_not_a_number_is_refused(
    suffix: str, slope: float, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(boxes, "BOX_BYTES", chunk)
    a, b = put(tmp_path / "t-", suffix, T), put(tmp_path / "p-", ".nii.gz", P)
    region = INSIDE.astype("f4")
    region[3, 2, 1] = region[5, 6, 8] = np.nan
    roi = write(tmp_path / "roi.nii", region)
    raw = bytearray(roi.read_bytes())
    raw[112:120] = np.array([slope, 0], "<f4").tobytes()
    roi.write_bytes(bytes(raw))
    for threads in (1, 2):
        message = refusal(a, b, num_classes=5, axes="xyz", roi=roi, threads=threads)
        assert message.startswith(
            f"{roi}: expected numbers in a region of interest, found 2 voxel(s) that are not; the first is nan"
        )
        assert message.endswith(("(3, 2, 1)", "(5, 6, 8)"))  # boxes have an order of their own
    with pytest.raises(
        VolumeError,
        match=r"roi.nii: expected numbers in a region of interest, found NaN at index \((3, 2, 1|5, 6, 8)\)",
    ):
        list(label_blocks(a, b, roi=roi, axes="xyz"))


@pytest.mark.parametrize("box", [40, 4 << 20])
@pytest.mark.parametrize("pred", [".nii.gz", "c.npy", "f.npy", "deflated.npz"])
def test_wrong_labels_are_named_in_unlike_files(
    pred: str, box: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", box)
    places = [(5, 6, 8), (2, 3, 4), (0, 6, 1)]
    for dtype, value in (("u1", 99), ("i2", -7), ("f4", np.nan), ("f8", 2.5), ("f4", np.inf)):
        wrong = P.astype(dtype)
        for number, place in enumerate(places):
            wrong[place] = value + number
        a, b = write(tmp_path / "t.nii.gz", T), tmp_path / f"{dtype}{value}-"
        b = put(b, pred, wrong)
        message = refusal(a, b, num_classes=5, axes="xyz")
        assert message.startswith(f"{b}: expected labels ")
        assert "found 3 voxel(s)" in message
        index = tuple(int(i) for i in message.partition(" at index (")[2].partition(")")[0].split(","))
        assert index in places
        assert f"the first is {wrong[index].item()} at index {index}" in message
        # What is outside is not judged.
        inside = np.ones(T.shape, "u1")
        inside[places[0]] = inside[places[1]] = 0
        roi = write(tmp_path / "roi.nii", inside)
        message = refusal(a, b, num_classes=5, axes="xyz", roi=roi)
        assert f"found 1 voxel(s) that are not; the first is {wrong[places[2]].item()} at index {places[2]}" in message
        inside[places[2]] = 0
        roi = put(tmp_path / f"{dtype}{value}roi-", "f.npy", inside)
        counts = fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi)
        assert counts == fastseg.count_labels(T, P, num_classes=5, mask=inside.astype(bool))


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(ValueError, match="voxel") as caught:
        fastseg.count_files(*args, **options)
    return str(caught.value)


def test_one_file_as_both_is_counted_once(tmp_path: Path) -> None:
    a = write(tmp_path / "t.nii", np.where(T == 4, 77, T).astype("u1"))
    assert f"found {(T == 4).sum()} voxel(s)" in refusal(a, a, num_classes=5)


def test_fractions_are_named_as_they_are_scaled(tmp_path: Path) -> None:
    a, b = write(tmp_path / "t.nii.gz", T), tmp_path / "p.nii.gz"
    raw = bytearray(gzip.decompress(write(b, np.where(P == 3, 3, 0).astype("i2")).read_bytes()))
    raw[112:120] = np.array([0.5, 1], "<f4").tobytes()
    b.write_bytes(gzip.compress(bytes(raw)))
    assert f"found {(P == 3).sum()} voxel(s) that are not; the first is 2.5 at" in refusal(a, b, num_classes=5)


@pytest.mark.parametrize("box", [30, 4 << 20])
def test_label_blocks(box: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", box)
    doubled = write(tmp_path / "p.nii.gz", (P * 2).astype("i8"))
    raw = bytearray(gzip.decompress(doubled.read_bytes()))
    raw[112:120] = np.array([0.5, 0], "<f4").tobytes()
    doubled.write_bytes(gzip.compress(bytes(raw)))
    roi = write(tmp_path / "roi.nii.gz", INSIDE.astype(">i2"), np.diag([1.0, 2, 3, 1]))
    for suffix in ("c.npy", "f.npy", ".nii.gz", ".nii"):
        a = put(tmp_path / "t-", suffix, T.astype("i8"))
        seen = np.zeros(T.shape, int)
        blocks = list(label_blocks(a, doubled, map_prediction={1: 70, 70: 2}, roi=roi, axes="xyz"))  # all are kept
        for block in blocks:
            where = tuple(slice(i, i + n) for i, n in zip(block.start, block.true.shape, strict=True))
            seen[where] += 1
            assert (block.true.dtype, block.pred.dtype) == (np.int64, np.int64)
            assert np.array_equal(block.true, T[where])
            assert np.array_equal(block.pred, np.where(P == 1, 70, P)[where])
            assert block.inside is not None
            assert np.array_equal(block.inside, INSIDE[where])
            assert (block.shape, len(block.spacing)) == (T.shape, 3)
        assert (seen == 1).all()
    assert all(block.inside is None for block in label_blocks(a, doubled))


@pytest.mark.parametrize("shape", [(3, 0, 4), (), (0,)])
@pytest.mark.parametrize("suffix", there({name: WRITERS[name] for name in ("c.npy", ".npz", ".h5", "3.zarr")}))
def test_files_without_voxels_are_refused_or_count_nothing(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    a, path = write(tmp_path / "t.nii", T), tmp_path / f"empty{suffix}"
    if suffix == "3.zarr":
        chunks = (1,) * len(shape)
        importlib.import_module("zarr").create_array(str(path), shape=shape, chunks=chunks, dtype="u1")
    else:
        WRITERS[suffix](path, np.zeros(shape, "u1"))
    for pair in ((a, path), (path, a)):
        with pytest.raises(VolumeError, match="expected"):
            fastseg.count_files(*pair)
    try:
        assert fastseg.count_files(path, path, roi=path).voxels.sum() == 0
        assert list(label_blocks(path, path)) == []
    except VolumeError as error:
        assert "expected" in str(error)


def test_unpacking_to_a_file_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", 0)
    labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    reference, prediction = write(tmp_path / "a.nii.gz", labels), tmp_path / "b.npz"
    np.savez_compressed(prediction, labels)
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fastseg.count_files(reference, prediction, axes="xyz", progress=stop)
    assert calls == [(0, 60)]
    assert fastseg.count_files(reference, prediction, axes="xyz").matrix[0].trace() == 60
