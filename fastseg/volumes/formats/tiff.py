"""TIFF, BigTIFF and OME-TIFF: the directories and the codecs through tifffile, the bytes by reads at a position."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import ByteSource
from fastseg.volumes.decoded import failures_of, quiet
from fastseg.volumes.errors import ClosedError, VolumeError
from fastseg.volumes.formats.geotiff import map_positions, no_data, oriented, page_positions, scaling_of
from fastseg.volumes.formats.imagej import calibration, origin_of
from fastseg.volumes.formats.lossless import check_codec, checks_of
from fastseg.volumes.formats.negatives import negative, runs_from_white_to_black
from fastseg.volumes.formats.tiff_pages import check_pages, recognises
from fastseg.volumes.plain import PlainVoxels
from fastseg.volumes.positions import Positions
from fastseg.volumes.views import Turned
from fastseg.volumes.volume import Format, Geometry, Volume, require

_SUFFIXES = (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".btf", ".tf8", ".ome.btf", ".ome.tf8")
_ORIENTATION = 274
_WHITE_IS_ZERO = 0
#: Tags of cameras and of printers that say what stored values stand for.
_CALIBRATED = {433: "Decode", 50712: "LinearizationTable", 50714: "BlackLevel"}
_GREYS = (1, 3, 4)  # black is zero, indexes of a palette, masks
# A tile that claims to be larger than this many times its compressed bytes is a false header: Zstandard codes 128 KiB of
# equal bytes in four. Image codecs code any constant tile in some dozens, hence the floor.
_EXPANSION_LIMIT = 1 << 16
_ALLOWED_BYTES = 64 << 20
_MM = {"nm": 1e-6, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3}
_MM |= {"pm": 1e-9, "mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1e3, "in": 25.4, "inch": 25.4}

Box = tuple[slice, ...]


class TiffVolume(Volume):
    """Read the one image series of a TIFF file; `fastseg.volumes.volume.Volume` describes the members.

    Voxels that lie uncompressed one after another are read as they lie. Of other files the pages, and of those the tiles or
    strips, are decoded that a box meets. One file is one volume: an OME-TIFF of several files is read page by page.

    Every such file names its axes: rows run along y, columns along x, and pages along what ImageJ or OME metadata say, else
    along z. The user's `axes` are of other files.

    Parameters
    ----------
    path : str

    Raises
    ------
    VolumeError
        If the file is broken, holds several images, colours, JPEG, or a negative (`negatives`).
    """

    def __init__(self, path: str) -> None:
        self.path = path
        tifffile = require("tifffile", "tiff", path, "a TIFF file")
        self._source = ByteSource(path)
        self._lock = threading.Lock()  # tifffile's pages are not for several threads
        self._tiff: Any = None
        self._closed = False
        self._plain: PlainVoxels | None = None
        try:
            size = self._source.size
            self._file = PlainVoxels(self._source, 0, (size,), np.dtype(np.uint8), "C", path)
            check_pages(path, self._read, size)
            with failures_of("tifffile", path), quiet("tifffile"):
                # One file is one volume: these three are how tifffile would come to open others.
                self._tiff = tifffile.TiffFile(path, _multifile=False, is_mmstack=False, is_ndtiff=False)
                self._tiff.filehandle.set_lock(True)
                series = _only_series(path, self._tiff)
                self._lay_out(series, _checked_dtype(path, series))
        except BaseException:
            self.close()
            raise

    def _read(self, offset: int, count: int) -> bytes:
        """Return these bytes of the file; raise StreamError where it ends before."""
        return self._file.read_block((offset,), (offset + count,)).tobytes()

    def _lay_out(self, series: Any, dtype: np.dtype[Any]) -> None:
        """Find out how the voxels lie in the file."""
        page = series.keyframe
        tags, (names, sizes) = page.tags, _all_axes(series)
        self.palette = _palette(page)
        self.scaling, self.nodata = scaling_of(self.path, tags), no_data(self.path, tags, dtype)
        if self._tiff.is_imagej:
            self.scaling = calibration(self.path, self._tiff.imagej_metadata) or self.scaling
        self.orientation = int(tags[_ORIENTATION].value) if _ORIENTATION in tags else 1
        shaped = self._tiff.is_shaped and not {"Q", "I"} & {name for name, n in zip(names, sizes, strict=True) if n > 1}
        self.says_axes = bool(self._tiff.is_ome or self._tiff.is_imagej or shaped)
        kept = [(name, n) for name, n in zip(names, sizes, strict=True) if name != "S"]
        kept = [axis for axis in kept[:-2] if axis[1] != 1] + kept[-2:]
        shape = tuple(int(n) for _, n in kept)
        axes = _axis_letters("".join(name for name, _ in kept))
        spacing = _spacing(self._tiff, series, axes)
        positions = (
            map_positions(self.path, tags, shape, axes)
            or _stage_positions(self._tiff, shape, axes, spacing)
            or page_positions(tags, shape, axes)
            or (origin_of(self._tiff.imagej_metadata, shape, axes) if self._tiff.is_imagej else None)
        )
        self.geometry = Geometry(shape, None, spacing, axes, positions)

        offset, count = series.dataoffset, math.prod(shape)
        if offset and page.databytecounts[0]:  # both are zero where nothing is stored, as GDAL does
            self.dtype, self.blocks = dtype.newbyteorder(self._tiff.byteorder), (1,) * len(shape)
            if offset + count * dtype.itemsize > self._source.size:
                raise VolumeError(
                    f"{self.path}: truncated or corrupt: {shape} voxels of {dtype} from byte {offset} on "
                    f"do not fit a file of {self._source.size}"
                )
            self._plain = PlainVoxels(self._source, offset, shape, self.dtype, "C", self.path)
            return

        _, *extent, _ = page.shaped  # depth, rows, columns
        self._pages = list(series)
        outer = len(shape) - (2 if extent[0] == 1 else 3)
        if (
            outer < 0
            or shape[outer:] != tuple(extent[-len(shape[outer:]) :])
            or math.prod(shape[:outer]) != len(self._pages)
        ):
            raise VolumeError(
                f"{self.path}: expected the pages of {shape} voxels, found {len(self._pages)} of {tuple(extent)}"
            )
        self._chunk = (
            (page.tiledepth, page.tilelength, page.tilewidth) if page.is_tiled else (1, page.rowsperstrip, extent[2])
        )
        if min(self._chunk) < 1:
            raise VolumeError(f"{self.path}: expected tiles or strips of at least one voxel, found {self._chunk}")
        self._extent, self._outer, self._grid = (
            extent,
            outer,
            tuple(-(-n // c) for n, c in zip(extent, self._chunk, strict=True)),
        )
        self.dtype = dtype
        inner = tuple(min(n, c) for n, c in zip(extent, self._chunk, strict=True))
        self.blocks = (1,) * outer + inner[outer - len(shape) :]
        self._decode, self._nodata = page.decode, page.nodata
        self._check = checks_of(self.path, int(page.compression), tags)
        self.notes = self._absent()

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels; see `Volume.read_block`."""
        if self._closed:
            raise ClosedError(self.path)
        if self._plain is not None:
            return self._plain.read_block(start, stop)
        values = np.empty([b - a for a, b in zip(start, stop, strict=True)], self.dtype)
        outer, shape = self._outer, self.geometry.shape
        # Of pages without a depth it is one.
        low, high = ((0, *start[outer:])[-3:], (1, *stop[outer:])[-3:])
        for index in np.ndindex(values.shape[:outer]):
            at = tuple(a + i for a, i in zip(start, index, strict=False))
            page = int(np.ravel_multi_index(at, shape[:outer])) if outer else 0
            target = values[index].reshape([b - a for a, b in zip(low, high, strict=True)])
            for number, origin in self._segments(low, high):
                into, out_of = _overlap(low, high, origin, self._chunk)
                segment = self._segment(page, number)
                target[into] = segment if segment.ndim == 0 else segment[out_of]
        return values

    def _segments(self, low: tuple[int, ...], high: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Go through the tiles or strips of a page that meet a box: the number and the first voxel of each."""
        ranges = [range(a // c, -(-b // c)) for a, b, c in zip(low, high, self._chunk, strict=True)]
        _, rows, columns = self._grid
        for z, y, x in itertools.product(*ranges):
            yield (z * rows + y) * columns + x, tuple(i * c for i, c in zip((z, y, x), self._chunk, strict=True))

    def _segment(self, number: int, index: int) -> NDArray[Any]:
        """Decode a tile or strip: (depth, rows, columns), or the one value of what is not stored."""
        where = f"{self.path}: page {number}, tile or strip {index}"
        with failures_of("tifffile", where):
            with self._lock:
                page = self._pages[number]
                if page is None:
                    raise VolumeError(f"{where}: truncated or corrupt: expected a page, found none")
                offset, count = page.dataoffsets[index], page.databytecounts[index]
            if offset == count == 0:  # a sparse file, as GDAL writes it
                return np.array(self._nodata, self.dtype)
            chunk = self._chunk
            if not page.keyframe.is_tiled:  # the last strip ends with the page, the last tile does not
                rows = self._extent[1] - index % self._grid[1] * chunk[1]
                chunk = (chunk[0], min(chunk[1], rows), chunk[2])
            expected = math.prod(chunk) * self.dtype.itemsize
            if expected > max(count * _EXPANSION_LIMIT, _ALLOWED_BYTES) or count > self._source.size - offset:
                raise VolumeError(
                    f"{where}: truncated or corrupt: expected {chunk} voxels of {self.dtype} in {count} bytes from "
                    f"byte {offset} on, of a file of {self._source.size}"
                )
            data = self._read(offset, count)
            lossy = None if self._check is None else self._check(data)
            if lossy is not None:
                raise VolumeError(f"{where}: expected a compression that keeps every label as it is, found {lossy}")
            values: NDArray[Any] = self._decode(data, index)[0]
            return values[..., 0].astype(self.dtype, copy=False)

    def _absent(self) -> tuple[str, ...]:
        """Say how many tiles or strips are not stored, as GDAL does with those that are empty."""
        stored = [count for page in self._pages if page is not None for count in page.databytecounts]
        absent = stored.count(0)
        if not absent:
            return ()
        return (
            f"{self.path}: {absent} of {len(stored)} tiles or strips are not stored: their voxels are {self._nodata}",
        )

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._closed = True
        if self._tiff is not None:
            self._tiff.close()
        self._source.close()


def _overlap(
    low: tuple[int, ...], high: tuple[int, ...], origin: tuple[int, ...], chunk: tuple[int, ...]
) -> tuple[Box, Box]:
    """Return where a chunk meets a box, counted in the box and in the chunk."""
    spans = [(max(a, o), min(b, o + c)) for a, b, o, c in zip(low, high, origin, chunk, strict=True)]
    into = tuple(slice(first - a, last - a) for (first, last), a in zip(spans, low, strict=True))
    return into, tuple(slice(first - o, last - o) for (first, last), o in zip(spans, origin, strict=True))


def _only_series(path: str, tiff: Any) -> Any:
    """Return the series at full resolution; raise VolumeError unless all others are smaller copies of it."""
    every = list(tiff.series(squeeze=False) if callable(tiff.series) else tiff.series)  # a list before 2026.5
    series = [each for each in every if not each.keyframe.is_reduced] or every
    if len(series) != 1:
        names = ", ".join(f"{i}: {each.name} {each.axes} {each.shape} {each.dtype}" for i, each in enumerate(series))
        raise VolumeError(f"{path}: expected one image, found {len(series)} ({names or 'no page'})")
    return series[0]


def _all_axes(series: Any) -> tuple[str, tuple[int, ...]]:
    """Return letters and lengths of all axes, those of length one too."""
    if hasattr(series, "get_axes"):  # before 2026.5
        return series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    return series.axes, series.shape


def _checked_dtype(path: str, series: Any) -> np.dtype[Any]:
    """Return the data type of stored values; raise VolumeError where they are no labels."""
    page = series.keyframe
    if page.samplesperpixel != 1:
        raise VolumeError(
            f"{path}: expected one label per voxel, found {page.samplesperpixel} samples: "
            f"a colour picture is no label map, convert the colours to labels first"
        )
    check_codec(path, int(page.compression), getattr(page.compression, "name", str(page.compression)))
    if page.photometric == _WHITE_IS_ZERO:
        raise negative(path, "PhotometricInterpretation 0 (WhiteIsZero)")
    calibrated = [name for tag, name in _CALIBRATED.items() if tag in page.tags and np.any(page.tags[tag].value)]
    if calibrated:
        raise VolumeError(
            f"{path}: expected values as they are stored, found the tag {calibrated[0]}, which changes them"
        )
    if page.photometric not in _GREYS:
        kind = getattr(page.photometric, "name", "")
        raise VolumeError(
            f"{path}: expected greys or indexes of a palette, found PhotometricInterpretation {int(page.photometric)} {kind}: "
            "such samples are no labels"
        )
    palette = _palette(page)
    if palette is not None and runs_from_white_to_black(palette):
        raise negative(path, "a palette that runs from white to black")
    dtype: np.dtype[Any] | None = None if page.dtype is None else np.dtype(page.dtype)
    if dtype is None or dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype != series.dtype:
        raise VolumeError(
            f"{path}: expected integers or floating-point numbers of at most 64 bits, found {series.dtype} "
            f"(sample format {page.sampleformat}, {page.bitspersample} bits)"
        )
    return dtype


def _palette(page: Any) -> NDArray[np.uint8] | None:
    """Return red, green and blue of each index, (n, 3), None where values are no indexes."""
    return None if page.colormap is None else (page.colormap.T >> 8).astype(np.uint8)


def _axis_letters(names: str) -> str:
    """Return tifffile's letters in lower case; the last of an unknown sequence of pages runs along z."""
    letters = ["" if name in "QI" else name.lower() for name in names]
    for position, letter in ((-1, "x"), (-2, "y"), (-3, "z")):
        if len(letters) >= -position and not letters[position] and letter not in letters:
            letters[position] = letter
    return "".join(letter or "q" for letter in letters)


def _stage_positions(tiff: Any, shape: tuple[int, ...], axes: str, spacing: tuple[float, ...]) -> Positions | None:
    """Return where OME metadata say that the stage was at the first plane, in mm; None where they do not."""
    if not tiff.is_ome:
        return None
    known: dict[str, float] = {}
    with contextlib.suppress(Exception):  # a position that cannot be understood is not known
        root = ElementTree.fromstring(tiff.ome_metadata)
        plane = next(each for each in root.iter() if each.tag.endswith("}Plane") or each.tag == "Plane")
        for axis in "XYZ":
            if f"Position{axis}" in plane.attrib:
                unit = _MM.get(plane.get(f"Position{axis}Unit", "reference frame"), 1e-3)  # of its own unit, as if µm
                known[axis.lower()] = float(plane.attrib[f"Position{axis}"]) * unit
    if not known:
        return None
    return Positions.of([known.get(axis, math.nan) for axis in axes], spacing, shape, "mm")


def _spacing(tiff: Any, series: Any, axes: str) -> tuple[float, ...]:
    """Return the spacing in mm where OME or ImageJ metadata say it; bare resolution tags are of printers."""
    known: dict[str, float] = {}
    with contextlib.suppress(Exception):  # a spacing that cannot be understood is not known
        if tiff.is_ome:
            root = ElementTree.fromstring(tiff.ome_metadata)
            pixels = next(each for each in root.iter() if each.tag.endswith("}Pixels") or each.tag == "Pixels")
            for axis in "XYZ":
                with contextlib.suppress(KeyError):
                    unit = _MM[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
                    known[axis.lower()] = float(pixels.attrib[f"PhysicalSize{axis}"]) * unit
        elif tiff.is_imagej:
            metadata, tags = tiff.imagej_metadata, series.keyframe.tags
            unit = _MM[metadata["unit"].replace("\\u00B5", "µ").lower()]
            if "spacing" in metadata:
                known["z"] = float(metadata["spacing"]) * unit
            for axis, name in (("x", "XResolution"), ("y", "YResolution")):
                pixels_per, units = tags[name].value
                known[axis] = units / pixels_per * unit
    return tuple(known[axis] if 0 < known.get(axis, 0) < math.inf else math.nan for axis in axes)


def _open(path: str) -> Volume:
    """Open a file as it is seen: with the first row at the top, and the first column to the left."""
    volume = TiffVolume(path)
    try:
        orientation, given = volume.orientation, volume.geometry
        if orientation == 1:
            return volume
        if orientation not in range(1, 9) or given.positions is not None:
            found = "one that is turned" if given.positions is not None else str(orientation)
            raise VolumeError(
                f"{path}: expected an Orientation from 1 to 8, of a picture with a place 1, found {found}"
            )
        letters, (rows, columns) = oriented(orientation, given.axes)
        volume.geometry = Geometry(given.shape, None, given.spacing, letters)
        before = len(given.shape) - 2
        return Turned(volume, tuple(range(before + 2)), (*(False,) * before, rows, columns))
    except BaseException:
        volume.close()
        raise


FORMAT = Format("TIFF", _SUFFIXES, recognises, _open)
