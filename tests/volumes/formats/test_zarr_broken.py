"""Broken Zarr: hostile metadata and broken chunks are errors, whatever they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.stored_arrays import SHAPE, refused, voxels
from support.zarr_files import ZARR_2, ZARR_3, edit, numcodecs, write, zarr, zip_folder

from fastseg.volumes import VolumeError, open_volume

HOSTILE_3: dict[str, tuple[dict[str, Any], str]] = {
    "no shape": ({"shape": None}, "expected shape to be a list of 1 to 32 positive integers, found None"),
    "scalar": ({"shape": []}, "found []"),
    "negative": ({"shape": [11, -9, 7]}, "found [11, -9, 7]"),
    "empty": ({"shape": [11, 0, 7]}, "found [11, 0, 7]"),
    "fractions": ({"shape": [11.0, 9, 7]}, "found [11.0, 9, 7]"),
    "booleans": ({"shape": [True, 9, 7]}, "found [True, 9, 7]"),
    "more than 64 bits": ({"shape": [2**63, 9, 7]}, "expected shape"),
    "too many voxels": ({"shape": [2**40, 2**23, 7]}, "less than 2**63 bytes"),
    "too many axes": ({"shape": [1] * 1000}, "expected shape"),
    "axes of chunks": ({"grid": [4, 5]}, "expected chunk_shape to be a list of 3 positive integers, found [4, 5]"),
    "chunks of nothing": ({"grid": [0, 5, 3]}, "found [0, 5, 3]"),
    "huge chunks": ({"grid": [2**20, 2**20, 1]}, "expected chunks of at most 1024 MiB"),
    "huger chunks": ({"grid": [2**62, 2**62, 2**62]}, "expected chunks of at most 1024 MiB"),
    "other grid": ({"chunk_grid": {"name": "rectilinear"}}, "expected a regular chunk_grid"),
    "no grid": ({"chunk_grid": 3}, "expected a regular chunk_grid, found 3"),
    "grid without configuration": ({"chunk_grid": {"name": "regular", "configuration": []}}, "expected chunk_shape"),
    "text": ({"data_type": "string"}, "at most 64 bits, found 'string'"),
    "complex": ({"data_type": "complex64"}, "found 'complex64'"),
    "fields": ({"data_type": {"name": "structured", "configuration": {}}}, "at most 64 bits"),
    "variable length": ({"data_type": "variable_length_bytes"}, "at most 64 bits"),
    "version": ({"zarr_format": 4}, "expected zarr_format 2 or 3, found 4"),
    "no codecs": ({"codecs": None}, "expected a list of codecs, found None"),
    "codecs of nothing": ({"codecs": []}, "expected metadata of a Zarr array"),
    "unknown codec": ({"codecs": ["bytes", {"name": "pickle"}]}, "found 'pickle'"),
    "objects": ({"codecs": ["vlen-utf8"]}, "found 'vlen-utf8'"),
    "a number for a codec": ({"codecs": [3]}, "expected codecs of numbers"),
    "a codec of objects within": ({"shard": {"codecs": ["vlen-utf8"]}}, "found 'vlen-utf8'"),
    "shards in shards": ({"shard": {"codecs": [{"name": "sharding_indexed"}]}}, "found 'sharding_indexed'"),
    "shards and more": ({"codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": [4, 5, 1]}}, "gzip"]},
                        "no other codecs around sharding"),
    "shards of fractions": ({"shard": {"chunk_shape": [4, 2, 3]}}, "whole chunks, found (4, 2, 3)"),
    "too many chunks": ({"grid": [2**9] * 3, "shard": {"chunk_shape": [1, 1, 1]}}, "whole chunks, found (1, 1, 1)"),
    "fill value": ({"fill_value": 300}, "expected metadata of a Zarr array"),
    "fill value of another type": ({"fill_value": [1]}, "expected metadata of a Zarr array"),
    "transformers": ({"storage_transformers": [{"name": "x"}]}, ""),
    "must understand": ({"secret": {"must_understand": True}}, "expected metadata of a Zarr array"),
    "keys": ({"chunk_key_encoding": {"name": "none"}}, "expected metadata of a Zarr array"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_3)
def test_hostile_metadata_of_version_3(tmp_path: Path, what: str) -> None:
    changes, expected = dict(HOSTILE_3[what][0]), HOSTILE_3[what][1]
    path = write(tmp_path / "case.zarr", voxels())
    if "grid" in changes:
        changes["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": changes.pop("grid")}}
    if "shard" in changes:
        configuration = {
            "chunk_shape": [4, 5, 1],
            "codecs": ["bytes"],
            "index_codecs": ["bytes"],
            **changes.pop("shard"),
        }
        changes["codecs"] = [{"name": "sharding_indexed", "configuration": configuration}]
    edit(path, lambda document: document.update(changes))
    refused(path, expected)


HOSTILE_2: dict[str, tuple[dict[str, Any], str]] = {
    "objects": ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "at most 64 bits, found '|O'"),
    "pickle as a filter": ({"filters": [{"id": "pickle"}]}, "found 'pickle'"),
    "pickle as a compressor": ({"compressor": {"id": "pickle"}}, "found 'pickle'"),
    "json": ({"filters": [{"id": "json2"}]}, "found 'json2'"),
    "no id": ({"filters": [{}]}, "expected codecs of numbers"),
    "filters": ({"filters": "pickle"}, "expected a list of codecs, found 'pickle'"),
    "compressor": ({"compressor": 3}, "found 3"),
    "a filter of objects": ({"filters": [{"id": "astype", "encode_dtype": "O", "decode_dtype": "u1"}]}, ""),
    "a filter too large": ({"filters": [{"id": "shuffle", "elementsize": 2**40}]}, ""),
    "fields": ({"dtype": [["a", "<i4"]]}, "at most 64 bits"),
    "text": ({"dtype": "<U8"}, "found '<U8'"),
    "times": ({"dtype": "<M8[ns]"}, "found '<M8[ns]'"),
    "several": ({"dtype": "i4,i4"}, "found 'i4,i4'"),
    "chunks": ({"chunks": 5}, "expected chunks to be a list of 3 positive integers, found 5"),
    "huge": ({"chunks": [2**40, 1, 1]}, "expected chunks of at most 1024 MiB"),
    "order": ({"order": "K"}, "expected metadata of a Zarr array"),
    "separator": ({"dimension_separator": "../"}, "expected metadata of a Zarr array"),
    "fill value": ({"fill_value": "liver"}, "expected metadata of a Zarr array"),
}


@pytest.mark.parametrize("what", HOSTILE_2)
def test_hostile_metadata_of_version_2(tmp_path: Path, what: str) -> None:
    path = write(tmp_path / "case.zarr", voxels(), zarr_format=2)
    edit(path, lambda document: document.update(HOSTILE_2[what][0]), ".zarray")
    refused(path, HOSTILE_2[what][1])


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 10**5, b'{"shape": ' + b"9" * 5000 + b"}"]
)
@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup"])
def test_documents_that_are_not_json(tmp_path: Path, name: str, text: bytes) -> None:
    path = tmp_path / "case.zarr"
    path.mkdir()
    (path / name).write_bytes(text)
    refused(path, name)


def test_things_that_are_not_files(tmp_path: Path) -> None:
    path = write(tmp_path / "case.zarr", voxels())
    chunk = path / "c/0/0/0"
    chunk.unlink()
    os.mkfifo(chunk)
    refused(path, "c/0/0/0: expected a file of at most", "found something else")
    chunk.unlink()
    with chunk.open("wb") as file:
        file.truncate(1 << 40)
    refused(path, "c/0/0/0: expected a file of at most", f"found {1 << 40}")
    (path / "zarr.json").unlink()
    os.mkfifo(path / "zarr.json")
    refused(path, "is a device, a pipe or a socket")


def test_a_metadata_document_too_large(tmp_path: Path) -> None:
    path = tmp_path / "case.zarr"
    path.mkdir()
    with (path / "zarr.json").open("wb") as file:
        file.truncate(1 << 40)
    refused(path, "zarr.json: expected at most")


# Broken chunks: in another process, since a decoder that reads beyond a buffer may kill it

BREAK = """
import asyncio, pathlib, random, sys, zipfile
import numpy as np
import zarr.core.sync
from fastseg.volumes import VolumeError, open_volume

folder, count, seen = pathlib.Path(sys.argv[1]), int(sys.argv[2]), 0
random = random.Random(7)
for path in sorted(folder.iterdir()):
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    for number in range(count):
        file = random.choice(files)
        content = file.read_bytes()
        broken = bytearray(content)
        if number % 3 == 0:
            del broken[random.randrange(len(broken)):]
        elif number % 3 == 1:
            position = random.randrange(min(len(broken), 40) if number % 2 else len(broken))
            broken[position] ^= 1 << random.randrange(8)
        else:
            position = random.randrange(len(broken))
            broken[position:position + 4] = random.randbytes(4)
        file.write_bytes(broken)
        try:
            with open_volume(path) as volume:
                if np.prod(volume.geometry.shape) < 1e6:
                    volume.read_block((0,) * len(volume.geometry.shape), volume.geometry.shape)
        except VolumeError as error:
            assert str(error).startswith(str(path)), error
        seen += 1
        file.write_bytes(content)

# Where a chunk is broken, Zarr's loop may still read others; Python would complain of what is left of them as it ends.
async def read_the_others():
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

zarr.core.sync.sync(read_the_others())
print(seen)
"""


def test_broken_files_are_errors_or_volumes(tmp_path: Path) -> None:
    data = np.arange(693, dtype="<u2").reshape(SHAPE)
    random = np.random.default_rng(1).integers(0, 2**16, SHAPE).astype("<u2")
    for version, forms in ((2, ZARR_2), (3, ZARR_3)):
        for number, options in enumerate(forms.values()):
            path = write(
                tmp_path / f"{version}_{number}.zarr", data if number % 2 else random, zarr_format=version, **options
            )
            if number % 4 == 1:
                zip_folder(path)
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-c", BREAK, str(tmp_path), "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == 4 * len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("version", [2, 3])
def test_truncated_blosc_is_not_read_beyond_its_end(tmp_path: Path, version: int) -> None:
    # By itself the decoder copies 16 MiB from a buffer of 100 bytes, and the process is gone.
    blosc = numcodecs.Blosc("lz4") if version == 2 else zarr.codecs.BloscCodec(cname="lz4")
    data = np.random.default_rng(7).integers(0, 256, 1 << 24).astype("u1")
    path = write(tmp_path / "case.zarr", data, zarr_format=version, chunks=data.shape, compressors=blosc)
    chunk = path / ("0" if version == 2 else "c/0")
    with chunk.open("r+b") as file:
        file.truncate(100)
    with open_volume(path) as volume, pytest.raises(VolumeError, match="expected 100 bytes of Blosc"):
        volume.read_block((0,), (1 << 24,))
    with chunk.open("r+b") as file:
        file.truncate(10)
    with open_volume(path) as volume, pytest.raises(VolumeError, match="expected a Blosc header of 16 bytes, found 10"):
        volume.read_block((0,), (1,))


def test_files_that_are_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "case.zarr.zip"
    path.write_bytes(b"1 liver\n")
    refused(path, "expected a zip file, truncated or corrupt")
    refused(tmp_path / "absent.zarr", "no such file")
