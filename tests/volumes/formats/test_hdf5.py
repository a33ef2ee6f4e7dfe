"""HDF5: what h5py writes is read back value by value, and nothing broken is read at all."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import check_boxes_from_threads, whole
from support.stored_arrays import SHAPE, load, refused, voxels

from fastseg.volumes import VolumeError, open_volume, split_suffix

h5py: Any = pytest.importorskip("h5py")
DTYPES = ["?", "u1", "i1", "<u2", ">u2", "<i4", ">i4", "<u8", ">i8", "<f2", "<f4", ">f8"]
FORMS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (4, 5, 3)},
    "gzip": {"chunks": (4, 5, 3), "compression": "gzip"},
    "lzf": {"chunks": (4, 5, 3), "compression": "lzf"},
    "gzip, shuffle, fletcher32": {"chunks": (4, 5, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "resizable": {"chunks": (4, 5, 3), "maxshape": (None, None, None)},
}


def write(path: Path, data: np.ndarray, name: str = "labels", mode: str = "a", **options: Any) -> Path:
    with h5py.File(path, mode) as file:
        file.create_dataset(name, data=data, **options)
    return path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_reads_what_h5py_writes(tmp_path: Path, form: str, dtype: str) -> None:
    data = voxels(dtype)
    path = write(tmp_path / "case.h5", data, **FORMS[form])
    before = path.read_bytes()
    with open_volume(path) as volume:
        assert volume.path == str(path)
        assert (volume.geometry.shape, volume.geometry.affine, volume.geometry.axes) == (SHAPE, None, "")
        assert np.isnan(volume.geometry.spacing).all()
        assert (volume.order, volume.streams, volume.scaling) == ("C", False, None)
        assert volume.blocks == FORMS[form].get("chunks", (1, 1, 1))
        assert volume.parallel == (form == "contiguous")
        assert volume.dtype == data.dtype
        assert volume.dtype.metadata is None
        found = whole(volume)
        assert found.dtype == data.dtype
        np.testing.assert_array_equal(found, data)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", ["contiguous", "gzip"])
def test_boxes_are_slices_also_from_many_threads_at_once(tmp_path: Path, form: str) -> None:
    data = voxels("<u2")
    with open_volume(write(tmp_path / "case.h5", data, **FORMS[form])) as volume:
        check_boxes_from_threads(volume, data, 4)


def test_voxels_that_were_never_written_are_the_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "case.h5"
    for userblock, chunks in itertools.product((0, 512), (None, (4, 5, 3))):
        with h5py.File(path, "w", userblock_size=userblock) as file:
            file.create_dataset("labels", SHAPE, "<i2", fillvalue=-3, chunks=chunks)
        np.testing.assert_array_equal(load(path), np.full(SHAPE, -3))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("userblock", [0, 512])
def test_recognised_by_content_also_behind_a_user_block(tmp_path: Path, userblock: int, libver: str) -> None:
    data, path = voxels(">u2"), tmp_path / "case.bin"
    with h5py.File(path, "w", userblock_size=userblock, libver=libver) as file:
        file["labels"] = data
    with open_volume(path) as volume:
        assert volume.parallel
        np.testing.assert_array_equal(whole(volume), data)


def test_compact_and_enumerated_and_short_integers(tmp_path: Path) -> None:
    path, data = tmp_path / "case.h5", voxels("u1", (4, 5))
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        plane = h5py.h5s.create_simple((4, 5))
        h5py.h5d.create(file.id, b"compact", h5py.h5t.STD_U8LE, plane, properties)
        file["compact"][...] = data
        organs = h5py.enum_dtype({f"organ {n}": n for n in range(100)}, "u1")
        file.create_dataset("enum", data=data, dtype=organs)
        short = h5py.h5t.STD_U16LE.copy()
        short.set_precision(12)
        short.set_offset(4)
        h5py.h5d.create(file.id, b"short", short, plane)
        file["short"][...] = data
    for name in ("compact", "enum", "short"):
        with open_volume(f"{path}::{name}") as volume:
            assert volume.dtype == ("<u2" if name == "short" else "u1")
            assert not volume.parallel
            np.testing.assert_array_equal(whole(volume), data)


# Which dataset


def test_the_only_dataset_or_a_list(tmp_path: Path) -> None:
    path, data = tmp_path / "case.h5", voxels()
    with h5py.File(path, "w") as file:
        file["empty"] = h5py.Empty("f4")
    refused(path, "with two axes or more", "found ::/empty None float32")
    with h5py.File(path, "a") as file:
        file["names"] = ["liver", "kidney"]
        file["spacing"] = np.ones(3)
        file["table"] = np.zeros((2, 2), [("a", "i4")])
        file["complex"] = np.zeros((2, 2), "c8")
        file["left/kidney"] = data
        file["soft"] = h5py.SoftLink("/left/kidney")
    np.testing.assert_array_equal(load(path), data)
    np.testing.assert_array_equal(load(f"{path}::left/kidney"), data)
    np.testing.assert_array_equal(load(f"{path}::/left/kidney/"), data)
    with open_volume(f"{path}::spacing") as volume:
        assert volume.geometry.shape == (3,)
    write(path, data, "liver")
    refused(path, "expected one dataset of numbers", "::/left/kidney (11, 9, 7) uint8", "::/liver (11, 9, 7) uint8")
    refused(f"{path}::spleen", "expected spleen in the file, found no 'spleen' in /")
    refused(f"{path}::left/kidney/x", "found no 'x' in /left/kidney")
    refused(f"{path}::left", "expected a dataset at left, found a group")
    refused(f"{path}::names", "at most 64 bits, found object")
    refused(f"{path}::complex", "found complex64")
    refused(f"{path}::table", "found [('a', '<i4')]")
    refused(f"{path}::empty", "at least one voxel along every axis, found the shape None")
    refused(f"{path}::a\0b", "found no 'a\\x00b' in /")
    with h5py.File(path, "w") as file:
        for number in range(50):
            file[f"{number:02}"] = data
    with pytest.raises(VolumeError) as caught:
        load(path)
    assert str(caught.value).count("::/") == 20


def test_no_voxels_are_refused(tmp_path: Path) -> None:
    refused(write(tmp_path / "case.h5", np.zeros((4, 0))), "found the shape (4, 0)")


def test_what_lies_in_other_files_is_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "case.h5", voxels()
    write(tmp_path / "other.h5", data)
    (tmp_path / "raw.bin").write_bytes(data.tobytes())
    layout = h5py.VirtualLayout(SHAPE, "u1")
    layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "labels", SHAPE)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
    refused(path, "/virtual: expected a dataset in this file, found one whose voxels are in other files")
    refused(f"{path}::virtual", "found one whose voxels are in other files")
    with h5py.File(path, "w") as file:
        file.create_dataset("external", SHAPE, "u1", external=[(str(tmp_path / "raw.bin"), 0, data.nbytes)])
        file["soft"] = h5py.SoftLink("/external")
        file["link"] = h5py.ExternalLink("/dev/zero", "/labels")
        file["loop"] = file["/"]
    refused(path, "/external: expected a dataset in this file")
    refused(f"{path}::link", "found 'link' to be a link to /dev/zero::/labels")
    refused(f"{path}::soft", "found 'soft' to be a link to ::/external")
    refused(f"{path}::loop/loop/link", "found 'link' to be a link")


def test_filters_that_are_missing_are_named(tmp_path: Path) -> None:
    path = tmp_path / "case.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4, 5))
        properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"labels", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((4, 5)), properties)
    refused(path, "/labels: expected filters that are installed", "number 32001")


def test_chunks_too_large_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("labels", (2**40, 2**20), "u2", chunks=(2**20, 2**10), compression="gzip")
    refused(path, "expected chunks of at most 1024 MiB, found (1048576, 1024) of uint16")


# Broken files


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "case.h5").write_bytes(b"1 liver\n")
    refused(tmp_path / "case.h5", "truncated or corrupt")
    (tmp_path / "case.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    refused(tmp_path / "case.h5", "truncated or corrupt")
    write(tmp_path / "plain.h5", voxels())
    (tmp_path / "case.h5.gz").write_bytes(gzip.compress((tmp_path / "plain.h5").read_bytes()))
    refused(tmp_path / "case.h5.gz", "expected an HDF5 file, found gzip")
    refused(tmp_path / "absent.h5", "no such file")


BREAK = """
import math, os, pathlib, random, sys
from fastseg.volumes import VolumeError, open_volume

# Files are broken in place and made whole again; a line for each, so that a crash says where it was.
folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
random = random.Random(7)
seen = read = 0
for path in sorted(folder.iterdir()):
    content = path.read_bytes()
    head = random.sample(range(min(len(content), 2048) * 8), count)
    for number, bit in enumerate(head):
        broken = bytearray(content)
        if number % 4 == 0:
            del broken[random.randrange(len(broken)):]
        else:
            bit = random.randrange(len(broken) * 8) if number % 4 == 1 else bit
            broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            for name in (path, f"{path}::labels"):
                with open_volume(name) as volume:
                    shape = volume.geometry.shape
                    volume.read_block((0,) * len(shape), tuple(min(n, 16) for n in shape))
                    read += 1
        except VolumeError as error:
            assert str(error).startswith(str(path)), error
        seen += 1
    path.write_bytes(content)
print(seen, read)
"""


def test_broken_files_are_errors_or_volumes(tmp_path: Path) -> None:
    data = np.arange(693, dtype="<u2").reshape(SHAPE)
    for number, (options, libver) in enumerate(itertools.product(FORMS.values(), ("earliest", "latest"))):
        with h5py.File(tmp_path / f"{number}.h5", "w", libver=libver) as file:
            file.create_dataset("labels", data=data, **options)
    with h5py.File(tmp_path / "matlab.h5", "w", userblock_size=512) as file:
        file.create_dataset("labels", data=data).attrs["MATLAB_class"] = np.bytes_("uint16")
    with (tmp_path / "matlab.h5").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file")
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-c", BREAK, str(tmp_path), "150"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    seen, read = map(int, done.stdout.split())
    assert (seen, 0 < read < 2 * seen) == (150 * 13, True)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "case.h5", voxels())
    content = path.read_bytes()
    for length in (1, 8, 100, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "")


def test_a_file_truncated_while_it_is_open(tmp_path: Path) -> None:
    path = write(tmp_path / "case.h5", voxels())
    with open_volume(path) as volume:
        with path.open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(VolumeError, match="found the end"):
            whole(volume)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "case.h5", voxels(), **FORMS["gzip"])
    broken = path.read_bytes()
    path.write_bytes(broken[: len(broken) // 2])
    thread = threading.Thread(target=refused, args=(path, "truncated or corrupt"))
    thread.start()
    thread.join()
    refused(path, "truncated or corrupt")
    assert capfd.readouterr() == ("", "")


def test_without_h5py_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "case.h5", voxels())
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(path, 'pip install "fastseg-metrics[hdf5]"')


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, fastseg.volumes.formats.hdf5; print('h5py' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("form", ["contiguous", "gzip"])
def test_a_closed_volume_stays_closed(tmp_path: Path, form: str) -> None:
    volume = open_volume(write(tmp_path / "case.h5", voxels(), **FORMS[form]))
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="closed"):
        whole(volume)


def test_names_of_cases() -> None:
    assert split_suffix("liver_001.HDF5") == ("liver_001", ".HDF5")
