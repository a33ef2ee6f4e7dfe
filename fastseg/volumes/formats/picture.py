"""PNG, BMP, GIF, WebP and Netpbm pictures through Pillow: the stored samples or palette indexes are the labels."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.decoded import DecodedVolume, failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.negatives import negative, runs_from_white_to_black
from fastseg.volumes.formats.png_says import Said, png_says, turned
from fastseg.volumes.volume import Format, Geometry, require

_SUFFIXES = (".png", ".bmp", ".gif", ".webp", ".pbm", ".pgm", ".ppm", ".pnm", ".pfm")
_ORIENTATION = 274
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes
# Pillow's modes of one sample per pixel; "P" are indexes into a palette, as in Pascal VOC and Cityscapes.
_DTYPES = {"1": "?", "L": "u1", "P": "u1", "I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I": "=i4", "F": "=f4"}
# Where a PNG has fewer than 8 bits per grey sample, Pillow stretches them to 0 ... 255.
_STRETCHED = {"L;2": 85, "L;4": 17}
_BMP_BITS = {"1": (1,), "L": (8,), "P": (1, 2, 4, 8)}


class Picture(DecodedVolume):
    """Read a picture; `fastseg.volumes.volume.Volume` describes the members.

    Opening reads the header only. Values are those that are stored: samples of 1, 2 or 4 bits and of a Netpbm file with a
    maximum other than 255 are not stretched, nor indexes looked up in their palette (many writers of GIF renumber theirs:
    prefer PNG).
    A WebP file has no grey mode: it is read if it is lossless and its three channels are equal.

    Parameters
    ----------
    path : str

    Raises
    ------
    VolumeError
        If the file is broken, lossy, in colour, animated, a negative (`negatives`), or larger than Pillow's limit against
        decompression bombs.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._images = require("PIL.Image", "images", path, "a picture")
        try:
            self._file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise VolumeError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            with failures_of("Pillow", path):
                head = self._file.read(32)
                self._kind = _checked_kind(path, head, self._file)
                self._picture = self._open()
                mode, shape = self._picture.mode, self._picture.size[::-1]
                if getattr(self._picture, "is_animated", False):
                    raise VolumeError(f"{path}: expected one picture, found {self._picture.n_frames} frames")
                if self._kind == "WEBP" and mode == "RGB":
                    mode = "L"
                if mode not in _DTYPES:
                    raise _colours(path, mode)
                if self._kind == "BMP" and int.from_bytes(head[28:30], "little") not in _BMP_BITS[mode]:
                    # Pillow takes a short palette of greys for a picture of fewer bits, and reads noise.
                    raise VolumeError(f"{path}: expected a BMP file of 1 or 8 bits per pixel or with a full palette")
                if mode == "P":
                    self.palette = _palette(self._picture.palette)
                    if runs_from_white_to_black(self.palette):
                        raise negative(path, "a palette that runs from white to black")
                self._stretched = self._unstretch()
                scale = float(self._picture.info.get("scale", 1.0)) if mode == "F" else 1.0
                self.scaling = None if scale == 1 else (scale, 0.0)  # of PFM
                said = Said((np.nan, np.nan), None)
                if self._kind == "PNG":
                    said = png_says(path, self._file, self._images, shape, indexed=mode == "P")
                else:
                    _check_orientation(path, self._picture)
        except BaseException:
            self.close()
            raise
        self.dtype = np.dtype(_DTYPES[mode])
        self.geometry = Geometry(shape, None, said.spacing, "yx", said.positions)
        self.blocks = (1, 1)

    def _open(self) -> Any:
        self._file.seek(0)
        with quiet("PIL"):  # Pillow warns from half the size on at which it refuses
            return self._images.open(self._file, formats=(self._kind,))

    def _unstretch(self) -> int:
        """See to it that samples are decoded as they are stored; return what they are still to be divided by."""
        picture = self._picture
        if not picture.tile:  # WebP
            return 1
        codec, extents, offset, arguments = picture.tile[0]
        if self._kind == "PPM":
            self._check_one(offset, codec)
        if codec == "ppm":
            picture.tile = [("raw", extents, offset, ("I;16B" if picture.mode == "I" else "L", 0, 1))]
        elif codec == "ppm_plain" and picture.mode in ("I", "L"):
            picture.tile = [(codec, extents, offset, (picture.mode, 65535 if picture.mode == "I" else 255))]
        return _STRETCHED.get(arguments, 1) if isinstance(arguments, str) else 1

    def _check_one(self, offset: int, codec: str) -> None:
        """Refuse a Netpbm file with another picture behind the first, which Pillow does not see."""
        width, height = self._picture.size
        samples = {"1": -(-width // 8), "L": width, "I": 2 * width, "F": 4 * width}.get(self._picture.mode)
        if codec in ("raw", "ppm") and samples is not None:
            self._file.seek(offset + samples * height)
            if re.match(rb"P[1-7fF]\s", self._file.read(3)):
                raise VolumeError(f"{self.path}: expected one picture, found another one behind it")

    def _decode(self) -> NDArray[Any]:
        with failures_of("Pillow", self.path):
            if self._kind == "PNG":
                self._open().verify()  # decoding passes over the checksums
            voxels: NDArray[Any] = np.array(self._picture)
            if voxels.ndim == 3:
                if (voxels != voxels[..., :1]).any():
                    raise _colours(self.path, self._picture.mode)
                voxels = np.ascontiguousarray(voxels[..., 0])
            if self._stretched != 1:
                voxels //= self._stretched
            return voxels.astype(self.dtype, copy=False)

    def close(self) -> None:
        """Close the file and let go of the voxels; closing twice is allowed."""
        super().close()
        self._file.close()


def _check_orientation(path: str, picture: Any) -> None:
    """Refuse a picture that says in its Exif data that it is to be turned: some programs do, and some do not."""
    # Without the data in the header Pillow would decode all, to look behind the pixels.
    orientation = picture.getexif().get(_ORIENTATION, 1) if "exif" in picture.info else 1
    if orientation != 1:
        raise turned(path, orientation)


def _palette(stored: Any) -> NDArray[np.uint8]:
    """Return red, green and blue of each index, before Pillow decodes the picture and puts them in an order of its own."""
    backwards = stored.rawmode == "BGRX"  # of BMP
    entry = 4 if backwards else 3
    values = np.frombuffer(bytes(stored.palette), np.uint8)
    colours = values[: values.size // entry * entry].reshape(-1, entry)[:, :3]
    return colours[:, ::-1] if backwards else colours


def _kind(head: bytes) -> str | None:
    """Return Pillow's name of the format that a file begins like."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if re.match(rb"P[1-6f][ \t\n\r#]", head):
        return "PPM"
    return "JPEG" if head.startswith(b"\xff\xd8\xff") else None


def _checked_kind(path: str, head: bytes, file: BinaryIO) -> str:
    """Return the format; raise VolumeError if it is none of a picture, or one that does not keep values as they are."""
    kind = _kind(head)
    if kind is None:
        raise VolumeError(
            f"{path}: expected a PNG, BMP, GIF, WebP or Netpbm picture, found the first bytes {head[:8]!r}"
        )
    codec = _webp_codec(file) if kind == "WEBP" else b""
    if kind == "JPEG" or codec in (b"VP8 ", b"ALPH"):
        found = "JPEG" if kind == "JPEG" else f"WebP of the kind {codec.decode('latin-1')!r}"
        raise VolumeError(
            f"{path}: expected a picture that keeps every label as it is, such as PNG, found {found}, which is lossy"
        )
    return kind


def _webp_codec(file: BinaryIO) -> bytes:
    """Return the first chunk that holds pixels, or an animation of them; nothing where there is none."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8L", b"VP8 ", b"ALPH", b"ANMF"):
            return head[:4]
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, 1)
    return b""


def _colours(path: str, mode: str) -> VolumeError:
    return VolumeError(
        f"{path}: expected one label per pixel, found a colour picture (Pillow's mode {mode}), which is no label map: "
        f"convert the colours to labels first"
    )


def _recognises(head: bytes) -> bool:
    """Say whether these first bytes are a picture's, JPEG included: it is refused with a reason."""
    return _kind(head) is not None


FORMAT = Format("PNG, BMP, GIF, WebP and Netpbm pictures", _SUFFIXES, _recognises, Picture)
