"""What NRRD and MetaImage headers say of the place and the values of voxels is obeyed or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

pytest.importorskip("SimpleITK")

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 3, (4, 3, 5)).astype("u1")
PRED = np.where(RANDOM.random(TRUE.shape) < 0.8, TRUE, 1).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, PRED)
LPS = ("space: left-posterior-superior", "space directions: (1,0,0) (0,1,0) (0,0,2)", "space origin: (5,6,7)")


def nrrd(
    path: Path, data: np.ndarray, *lines: str, before: bytes = b"", kind: str = "uint8", order: str = "little"
) -> Path:
    """Write a raw NRRD file with some lines in its header."""
    sizes = " ".join(map(str, data.shape))
    first = [
        "NRRD0005",
        f"type: {kind}",
        f"dimension: {data.ndim}",
        f"sizes: {sizes}",
        "encoding: raw",
        f"endian: {order}",
    ]
    path.write_bytes("\n".join([*first, *lines, "", ""]).encode() + before + data.tobytes(order="F"))
    return path


def meta(path: Path, data: np.ndarray, *lines: str, kind: str = "MET_UCHAR") -> Path:
    """Write a MetaImage file with some lines in its header."""
    sizes = " ".join(map(str, data.shape))
    first = ["ObjectType = Image", f"NDims = {data.ndim}", f"DimSize = {sizes}"]
    text = "\n".join([*first, *lines, f"ElementType = {kind}", "ElementDataFile = LOCAL", ""])
    path.write_bytes(text.encode() + data.tobytes(order="F"))
    return path


@pytest.mark.parametrize(
    "lines",
    [
        LPS,
        ("space: LPS", *LPS[1:]),
        ("space: right-anterior-superior", "space directions: (-1,0,0) (0,-1,0) (0,0,2)", "space origin: (-5,-6,7)"),
        ("space: left-anterior-superior", "space directions: (1,0,0) (0,-1,0) (0,0,2)", "space origin: (5,-6,7)"),
        (
            LPS[0],
            'space units: "um" "um" "um"',
            "space directions: (1000,0,0) (0,1000,0) (0,0,2000)",
            "space origin: (5000,6000,7000)",
        ),
    ],
)
def test_spaces_directions_origins_and_units_of_nrrd_are_obeyed(tmp_path: Path, lines: tuple[str, ...]) -> None:
    reference = write(
        tmp_path / "t.nii", TRUE, np.array([[-1, 0, 0, -5], [0, -1, 0, -6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    )
    assert fastseg.count_files(reference, nrrd(tmp_path / "p.nrrd", PRED, *lines)) == EXPECTED
    moved = nrrd(tmp_path / "m.nrrd", PRED, *lines[:-1], "space origin: (0,0,0)")
    with pytest.raises(GeometryError, match="a pure translation"):
        fastseg.count_files(reference, moved)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((*LPS, "old min: 0", "old max: 1"), "found values that are quantised"),
        (
            (LPS[0], "space directions: (1,0,0) (0,1,0) none", LPS[2]),
            r"expected a direction for each axis, found .* none",
        ),
        ((*LPS, 'space units: "mm" "mm" "um"'), "expected one unit of length for all axes"),
        ((*LPS, 'space units: "furlong" "furlong" "furlong"'), "expected one unit of length"),
    ],
)
def test_what_nrrd_says_and_nobody_obeys_is_refused(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        open_volume(nrrd(tmp_path / "t.nrrd", TRUE, *lines))


def test_spaces_that_are_no_patients_are_compared_with_their_like(tmp_path: Path) -> None:
    own = ("space: scanner-xyz", *LPS[1:])
    true, pred = nrrd(tmp_path / "t.nrrd", TRUE, *own), nrrd(tmp_path / "p.nrrd", PRED, *own)
    assert fastseg.count_files(true, pred) == EXPECTED
    for lines, found in (
        ((own[0], own[1], "space origin: (5,6,9)"), r"a pure translation by \(0, 0, 1\) voxels along xyz"),
        (("space: 3D-left-handed", *LPS[1:]), "are scanner-xyz and 3d-left-handed"),
        ((own[0], "space directions: (0,1,0) (1,0,0) (0,0,2)", own[2]), "scanner-xyz and scanner-xyz along"),
    ):
        with pytest.raises(GeometryError, match=found):
            fastseg.count_files(true, nrrd(tmp_path / "o.nrrd", PRED, *lines))


def test_nrrd_without_a_space_says_so(tmp_path: Path) -> None:
    true = nrrd(tmp_path / "t.nrrd", TRUE, "spacings: 1 1 2")
    notes: list[str] = []
    reference = write(tmp_path / "p.nii", PRED, np.diag([-1.0, -1, 2, 1]))
    assert fastseg.count_files(true, reference, warn=notes.append) == EXPECTED
    assert notes == [f"{true}: states no position (it has no space): only shape and spacing are compared"]
    other = nrrd(tmp_path / "o.nrrd", TRUE, "spacings: 1 1 3")
    with pytest.raises(GeometryError, match="the spacings are"):
        fastseg.count_files(true, other, warn=notes.append)
    turned = nrrd(tmp_path / "x.nrrd", PRED.T, "spacings: 2 1 1", 'labels: "z" "y" "x"')
    assert fastseg.count_files(true, turned, warn=notes.append) == EXPECTED
    at = [nrrd(tmp_path / f"{n}.nrrd", TRUE, "spacings: 1 1 2", f"axis mins: {n} 0 0") for n in (0, 5)]
    with pytest.raises(GeometryError, match=r"a pure translation by \(5, 0, 0\) voxels"):
        fastseg.count_files(*at)


def test_bytes_and_lines_to_skip_order_and_sign_of_nrrd_are_obeyed(tmp_path: Path) -> None:
    reference = write(
        tmp_path / "t.nii", PRED, np.array([[-1, 0, 0, -5], [0, -1, 0, -6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    )
    expected = fastseg.count_labels(PRED, TRUE)
    for number, (line, before) in enumerate(
        [("byte skip: 3", b"abc"), ("line skip: 1", b"text\n"), ("byte skip: -1", b"junk")]
    ):
        path = nrrd(tmp_path / f"{number}.nrrd", TRUE, *LPS, line, before=before)
        assert fastseg.count_files(reference, path) == expected
    signed = nrrd(tmp_path / "s.nrrd", (-TRUE.astype("i2")).astype(">i2"), *LPS, kind="int16", order="big")
    assert fastseg.count_files(reference, signed) == fastseg.count_labels(PRED, -TRUE.astype("i2"))
    small = nrrd(tmp_path / "c.nrrd", -TRUE.astype("i1"), *LPS, kind="signed char")
    assert fastseg.count_files(reference, small) == fastseg.count_labels(PRED, -TRUE.astype("i1"))


def test_texts_in_nrrd_change_nothing(tmp_path: Path) -> None:
    lines = (
        "content: a liver",
        "measurement frame: (1,0,0) (0,1,0) (0,0,1)",
        "kinds: domain domain domain",
        "min: 0",
        "max: 9",
    )
    path = nrrd(tmp_path / "t.nrrd", TRUE, *LPS, *lines, "modality:=CT", "# old min: 0")
    assert fastseg.count_files(path, nrrd(tmp_path / "p.nrrd", PRED, *LPS)) == EXPECTED


def test_a_slope_and_an_offset_of_metaimage_are_obeyed(tmp_path: Path) -> None:
    lines = ("ElementToIntensityFunctionSlope = 0.5", "ElementToIntensityFunctionOffset = -5")
    true = meta(tmp_path / "t.mha", TRUE * 2 + 10, *lines)
    assert fastseg.count_files(true, meta(tmp_path / "p.mha", PRED)) == EXPECTED
    for slope in ("0", "nan", "two"):
        with pytest.raises(VolumeError, match="ElementToIntensityFunctionSlope"):
            open_volume(meta(tmp_path / "f.mha", TRUE, f"ElementToIntensityFunctionSlope = {slope}"))


@pytest.mark.parametrize(("unit", "times"), [("um", 1000), ("cm", 0.1), ("mm", 1), ("?", 1)])
def test_units_of_metaimage_are_obeyed(tmp_path: Path, unit: str, times: float) -> None:
    lines = (f"DistanceUnits = {unit}", f"ElementSpacing = {times} {times} {2 * times}", f"Offset = {5 * times} 0 0")
    true = meta(tmp_path / "t.mha", TRUE, *lines)
    assert (
        fastseg.count_files(true, meta(tmp_path / "p.mha", PRED, "ElementSpacing = 1 1 2", "Offset = 5 0 0"))
        == EXPECTED
    )
    with pytest.raises(GeometryError, match="a pure translation"):
        fastseg.count_files(true, meta(tmp_path / "q.mha", PRED, "ElementSpacing = 1 1 2", "Offset = 6 0 0"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("DistanceUnits = furlong", "expected one unit of length"),
        ("HeaderSize = 3", "expected voxels right after the header, found HeaderSize 3"),
        ("AnatomicalOrientation = LPS", "expected a TransformMatrix beside AnatomicalOrientation LPS, found none"),
    ],
)
def test_what_metaimage_says_and_nobody_obeys_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        open_volume(meta(tmp_path / "t.mha", TRUE, line))


def test_direction_spacing_byte_order_and_sign_of_metaimage_are_obeyed(tmp_path: Path) -> None:
    turned = meta(tmp_path / "t.mha", TRUE, "TransformMatrix = -1 0 0 0 -1 0 0 0 1", "Offset = 3 2 0")
    plain = meta(tmp_path / "p.mha", PRED, "AnatomicalOrientation = RAI", "ElementMin = 0", "ElementMax = 9")
    with pytest.raises(GeometryError, match="a pure flip"):
        fastseg.count_files(turned, plain)
    with pytest.raises(GeometryError, match="spacing"):
        fastseg.count_files(plain, meta(tmp_path / "s.mha", TRUE, "ElementSize = 1 1 2"))
    for line in ("ElementByteOrderMSB = True", "BinaryDataByteOrderMSB = True"):
        signed = meta(tmp_path / "b.mha", (-TRUE.astype("i2")).astype(">i2"), line, kind="MET_SHORT")
        assert fastseg.count_files(plain, signed) == fastseg.count_labels(PRED, -TRUE.astype("i2"))
    small = meta(tmp_path / "c.mha", -TRUE.astype("i1"), kind="MET_CHAR")
    assert fastseg.count_files(plain, small) == fastseg.count_labels(PRED, -TRUE.astype("i1"))


@pytest.mark.parametrize(
    "lines",
    [
        ("Offset = 5 0 0", "Position = 9 0 0"),
        ("Position = 9 0 0", "Origin = 5 0 0"),
        ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "Rotation = 0 1 0 1 0 0 0 0 1"),
    ],
)
def test_a_place_that_is_stated_twice_is_refused_where_it_differs(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(VolumeError, match="found several that differ"):
        open_volume(meta(tmp_path / "a.mha", TRUE, *lines))
    same = meta(tmp_path / "b.mha", PRED, "Offset = 5 0 0", "Position = 5 0.0 0")
    assert fastseg.count_files(meta(tmp_path / "t.mha", TRUE, "Origin = 5 0 0"), same) == EXPECTED


def test_a_centre_of_rotation_counts_where_something_is_turned(tmp_path: Path) -> None:
    straight, turned = (f"TransformMatrix = {text}" for text in ("1 0 0 0 1 0 0 0 1", "0 1 0 -1 0 0 0 0 1"))
    centre = "CenterOfRotation = 3 4 5"
    true = meta(tmp_path / "t.mha", TRUE, straight)
    assert fastseg.count_files(true, meta(tmp_path / "p.mha", PRED, straight, centre)) == EXPECTED
    with pytest.raises(VolumeError, match="turned about the origin, found CenterOfRotation 3 4 5"):
        open_volume(meta(tmp_path / "q.mha", PRED, turned, centre))


def test_other_objects_of_metaio_are_refused(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", TRUE)
    path.write_bytes(path.read_bytes().replace(b"ObjectType = Image", b"ObjectType = Tube"))
    with pytest.raises(VolumeError, match="expected an image, found ObjectType 'Tube'"):
        open_volume(path)


def test_ends_of_axes_of_nrrd(tmp_path: Path) -> None:
    begin, steps = "axis mins: 0 0 0", "spacings: 1 1 1"
    ends = [
        nrrd(tmp_path / f"{k}.nrrd", TRUE, begin, f"axis maxs: {text}") for k, text in enumerate(("4 3 5", "8 3 5"))
    ]
    with pytest.raises(GeometryError, match="does not lie as"):
        fastseg.count_files(*ends)
    for text in ("4 3 5", "3 2 4"):  # corners of the outer voxels, or their centres
        true = nrrd(tmp_path / "t.nrrd", TRUE, begin, steps, f"axis maxs: {text}")
        assert fastseg.count_files(true, nrrd(tmp_path / "p.nrrd", PRED, begin, steps)) == EXPECTED
    for lines in ((begin, steps, "axis maxs: 40 3 5"), ("axis maxs: 4 3 5",), (begin, "axis maxs: 4 x 5")):
        with pytest.raises(VolumeError):
            open_volume(nrrd(tmp_path / "bad.nrrd", TRUE, *lines))


def test_an_origin_that_is_not_stated_is_noted(tmp_path: Path) -> None:
    for last in (("space origin: none",), ()):
        with open_volume(nrrd(tmp_path / "a.nrrd", TRUE, *LPS[:2], *last)) as volume:
            assert "states no origin (space origin): its first voxel is taken to be at 0" in volume.notes[0]
    with open_volume(nrrd(tmp_path / "b.nrrd", TRUE, *LPS)) as volume:
        assert volume.notes == ()
