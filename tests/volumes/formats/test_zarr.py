"""Zarr: what zarr writes is read back value by value, and nothing broken is read at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import check_boxes, check_boxes_from_threads, whole

from fastseg.volumes import VolumeError, open_volume, split_suffix

zarr: Any = pytest.importorskip("zarr")
numcodecs: Any = pytest.importorskip("numcodecs")

SHAPE = (11, 9, 7)
DTYPES = ["?", "u1", "i1", "<u2", ">u2", "<i4", ">i4", "<u8", "<i8", "<f2", "<f4", ">f8"]


def voxels(dtype: str = "u1", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def write(path: Any, data: np.ndarray, **options: Any) -> Any:
    """Write an array with zarr, by default in chunks that do not divide it."""
    options = {"chunks": (4, 5, 4)[: data.ndim], "zarr_format": 3} | options
    name = options.pop("name", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(path, name=name, shape=data.shape, dtype=data.dtype, **options)
        array[...] = data
    return path


def load(path: Any) -> np.ndarray:
    with open_volume(path) as volume:
        return whole(volume)


def refused(path: Any, *expected: str) -> None:
    with pytest.raises(VolumeError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    for text in expected:
        assert text in message


ZARR_2: dict[str, dict[str, Any]] = {
    "uncompressed": {"compressors": None},
    "zstd": {},
    "blosc lz4": {"compressors": numcodecs.Blosc("lz4")},
    "blosc zstd bits": {"compressors": numcodecs.Blosc("zstd", shuffle=2)},
    "gzip": {"compressors": numcodecs.GZip(1)},
    "zlib, slash": {"compressors": numcodecs.Zlib(1), "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "lz4, F": {"compressors": numcodecs.LZ4(), "order": "F"},
    "bz2": {"compressors": numcodecs.BZ2(1)},
    "shuffle": {"filters": [numcodecs.Shuffle(2)]},
    "fletcher32": {"filters": [numcodecs.Fletcher32()], "compressors": None},
}
ZARR_3: dict[str, dict[str, Any]] = {
    "uncompressed": {"compressors": None},
    "zstd": {},
    "gzip": {"compressors": zarr.codecs.GzipCodec(level=1)},
    "blosc": {"compressors": zarr.codecs.BloscCodec(cname="lz4")},
    "blosc, checksum": {"compressors": [zarr.codecs.BloscCodec(cname="zstd"), zarr.codecs.Crc32cCodec()]},
    "shards": {"shards": (8, 10, 8)},
    "shards, blosc, index first": {
        "shards": {"shape": (8, 10, 4), "index_location": "start"},
        "compressors": zarr.codecs.BloscCodec(cname="blosclz"),
    },
    "big endian": {"serializer": zarr.codecs.BytesCodec(endian="big")},
    "transposed": {"filters": [zarr.codecs.TransposeCodec(order=(2, 0, 1))]},
    "v2 keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}


FORMS = [f"2: {name}" for name in ZARR_2] + [f"3: {name}" for name in ZARR_3]


@pytest.mark.parametrize(
    ("form", "dtype"),
    [(form, ">i4") for form in FORMS] + [(form, dtype) for form in ("2: blosc lz4", "3: shards") for dtype in DTYPES],
)
def test_reads_what_zarr_writes(tmp_path: Path, form: str, dtype: str) -> None:
    version, _, name = form.partition(": ")
    options = {"2": ZARR_2, "3": ZARR_3}[version][name]
    data = voxels(dtype)
    path = write(tmp_path / "case.zarr", data, zarr_format=int(version), **options)
    with open_volume(path) as volume:
        assert volume.path == str(path)
        assert (volume.geometry.shape, volume.geometry.affine, volume.geometry.axes) == (SHAPE, None, "")
        assert np.isnan(volume.geometry.spacing).all()
        assert (volume.order, volume.streams, volume.scaling, volume.parallel) == ("C", False, None, True)
        assert volume.dtype == (data.dtype if version == "2" else data.dtype.newbyteorder("="))
        found = whole(volume)
        assert found.dtype == volume.dtype
        np.testing.assert_array_equal(found, data)


@pytest.mark.parametrize("options", [{"zarr_format": 2}, {}, {"shards": (8, 10, 8)}], ids=["2", "3", "shards"])
@pytest.mark.parametrize("zipped", [False, True])
def test_boxes_are_slices_also_from_many_threads_at_once(tmp_path: Path, options: Any, zipped: bool) -> None:
    data = voxels("<u2")
    path = write(tmp_path / "case.zarr", data, **options)
    path = zip_folder(path) if zipped else path
    with open_volume(path) as volume:
        check_boxes(volume, data, 0)
        check_boxes_from_threads(volume, data, 8)


def zip_folder(path: Path) -> Path:
    target = path.with_name(path.name + ".zip")
    with zipfile.ZipFile(target, "w") as file:
        for each in sorted(path.rglob("*"), reverse=True):
            file.write(each, each.relative_to(path))
    return target


def test_zip_stores_that_zarr_writes(tmp_path: Path) -> None:
    data, path = voxels(), tmp_path / "case.zarr.zip"
    with zarr.storage.ZipStore(path, mode="w") as store:
        write(store, data)
    np.testing.assert_array_equal(load(path), data)
    by_content = tmp_path / "case.bin"
    shutil.copy(path, by_content)
    np.testing.assert_array_equal(load(by_content), data)
    with zarr.storage.ZipStore(path, mode="w") as store:
        write(store, data, name="a/b", zarr_format=2)
    np.testing.assert_array_equal(load(path), data)
    np.testing.assert_array_equal(load(f"{path}::a/b"), data)


def test_blocks_are_chunks_or_what_of_a_shard_is_small(tmp_path: Path) -> None:
    def blocks(**options: Any) -> Any:
        path = tmp_path / f"{len(os.listdir(tmp_path))}.zarr"
        zarr.create_array(path, dtype="u1", **options)
        with open_volume(path) as volume:
            return volume.blocks

    assert blocks(shape=(100, 100), chunks=(10, 20)) == (10, 20)
    assert blocks(shape=(100, 100), chunks=(10, 20), shards=(50, 60)) == (50, 60)
    assert blocks(shape=(4096,) * 3, chunks=(64,) * 3, shards=(1024,) * 3) == (64, 1024, 1024)
    assert blocks(shape=(4096,) * 3, chunks=(512,) * 3, shards=(2048,) * 3) == (512, 512, 512)


def test_chunks_that_are_not_stored_are_the_fill_value(tmp_path: Path) -> None:
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        zarr.create_array(path, shape=SHAPE, chunks=(4, 5, 4), dtype="i2", fill_value=-3, zarr_format=version)
        assert (load(path) == -3).all()
    document = json.loads((tmp_path / "2.zarr/.zarray").read_text())
    (tmp_path / "2.zarr/.zarray").write_text(json.dumps(document | {"fill_value": None}))
    assert not load(tmp_path / "2.zarr").any()


def test_codecs_that_no_specification_has_warn_nobody(tmp_path: Path) -> None:
    data, path = voxels("<u2"), tmp_path / "case.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import zarr.codecs.numcodecs as more

        delta, bz2 = more.Delta(dtype="<u2"), more.BZ2(level=1)
    write(path, data, filters=[delta], compressors=[bz2])
    np.testing.assert_array_equal(load(path), data)
    shutil.rmtree(path)
    write(path, data, compressors=[bz2], shards=(8, 10, 8))
    np.testing.assert_array_equal(load(path), data)
    edit(path, lambda document: document["codecs"][0]["configuration"].update(codecs=["bytes", "numcodecs.blosc"]))
    refused(path)  # as zarr has it: BZ2 is not Blosc


def edit(path: Path, change: Any, name: str = "zarr.json") -> None:
    document = json.loads((path / name).read_text())
    change(document)
    (path / name).write_text(json.dumps(document))


# Groups and OME-Zarr


def test_groups(tmp_path: Path) -> None:
    data, path = voxels(), tmp_path / "case.zarr"
    for version in (2, 3):
        zarr.create_group(path, zarr_format=version)
        refused(path, "expected one array, or the name of one after ::, found none")
        write(path, data, name="left/kidney", zarr_format=version)
        np.testing.assert_array_equal(load(path), data)
        np.testing.assert_array_equal(load(f"{path}::left"), data)
        np.testing.assert_array_equal(load(f"{path}::/left/kidney/"), data)
        np.testing.assert_array_equal(load(path / "left" / "kidney"), data)
        write(path, data + 1, name="liver", zarr_format=version)
        refused(path, "::left/kidney", "::liver")
        np.testing.assert_array_equal(load(f"{path}::liver"), data + 1)
        refused(f"{path}::spleen", "expected spleen/zarr.json or .zarray or .zgroup, found none")
        for outside in ("../case.zarr/liver", "left/./kidney", "left//kidney"):
            refused(f"{path}::{outside}", "expected the path of an array inside")
        shutil.rmtree(path)
    path.mkdir()
    refused(path, "expected zarr.json or .zarray or .zgroup, found none")


def test_a_group_in_itself_is_searched_to_an_end(tmp_path: Path) -> None:
    path = tmp_path / "case.zarr"
    zarr.create_group(path)
    for name in "ab":
        (path / name).symlink_to(path)
    refused(path, "found none")


IMAGE: dict[str, Any] = {
    "axes": [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "millimeter"},
    ],
    "datasets": [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 500, 250.0, 2]}]},
        {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 500, 500.0, 4]}]},
    ],
    "coordinateTransformations": [{"type": "scale", "scale": [0.1, 1, 1, 1, 2]}],
}


def write_image(path: Path, data: np.ndarray, version: str, image: Any = IMAGE) -> Path:
    """Write an OME-Zarr image by hand, whose lower resolutions are the data halved."""
    zarr_format = 3 if version == "0.5" else 2
    attributes = {"multiscales": [image | {"version": version}]}
    zarr.create_group(path, zarr_format=zarr_format, attributes={"ome": attributes} if zarr_format == 3 else attributes)
    for level in (0, 1):
        reduced = data[..., :: 1 + level]
        write(path, reduced, name=str(level), zarr_format=zarr_format, chunks=(1, 1, 4, 5, 4)[-data.ndim :])
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("zipped", [False, True])
def test_ome_zarr(tmp_path: Path, version: str, zipped: bool) -> None:
    data = voxels("<u2", (1, 1, *SHAPE))
    path = write_image(tmp_path / "case.zarr", data, version)
    path = zip_folder(path) if zipped else path
    with open_volume(path) as volume:
        assert (volume.geometry.shape, volume.geometry.axes, volume.geometry.affine) == (SHAPE, "zyx", None)
        assert volume.geometry.spacing == pytest.approx((0.5, 0.00025, 4))
        assert volume.blocks == (4, 5, 4)
        check_boxes(volume, data[0, 0], 1)
    with open_volume(f"{path}::1") as volume:
        assert (volume.geometry.shape, volume.geometry.axes) == ((1, 1, *SHAPE[:2], 4), "")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_image_with_labels_lists_them(tmp_path: Path, version: str) -> None:
    path, data = tmp_path / "case.zarr", voxels("u1", (1, 1, *SHAPE))
    write_image(path, data, version)
    names = {"labels": ["cells", "nuclei"]}
    zarr_format = 3 if version == "0.5" else 2
    zarr.create_group(
        path, path="labels", zarr_format=zarr_format, attributes={"ome": names} if zarr_format == 3 else names
    )
    for number, name in enumerate(names["labels"]):
        write_image(path / "labels" / name, data + number, version)
    refused(path, "expected labels, found an image that has labels: ::labels/cells, ::labels/nuclei")
    refused(f"{path}::labels", "found ::labels/cells, ::labels/nuclei")
    np.testing.assert_array_equal(load(f"{path}::labels/nuclei"), data[0, 0] + 1)
    np.testing.assert_array_equal(load(path / "labels" / "nuclei"), data[0, 0] + 1)


def space(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "space"} for name in names]


@pytest.mark.parametrize(
    ("image", "shape", "axes", "spacing"),
    [
        ({"axes": ["z", "y", "x"]}, SHAPE, "zyx", None),
        ({"axes": space("Z", "Y", "X")}, SHAPE, "zyx", None),
        ({"axes": space("depth", "y", "x")}, SHAPE, "", None),
        ({"axes": space("x", "x", "y")}, SHAPE, "", None),
        ({}, SHAPE, "", None),
        ({}, (1, 1, *SHAPE), "zyx", None),
        ({"axes": [{"name": "t", "type": "time"}, *space("y", "x")]}, (2, 4, 5), "tyx", None),
        ({"axes": [{**each, "unit": "meter"} for each in space("y", "x")], "scale": [1, -2]}, (4, 5), "yx", None),
        ({"axes": [{**each, "unit": "furlong"} for each in space("y", "x")], "scale": [1, 2]}, (4, 5), "yx", None),
        ({"axes": [{**each, "unit": "meter"} for each in space("y", "x")], "scale": [1, 0.5]}, (4, 5), "yx", (1000, 500)),
        ({"axes": [{**each, "unit": "meter"} for each in space("y", "x")], "scale": [1e999, 10**400]}, (4, 5), "yx", None),
        ({"axes": [{**each, "unit": "meter"} for each in space("y", "x")], "scale": [1, 2, 3]}, (4, 5), "yx", None),
    ],
)  # fmt: skip
def test_axes_of_images(tmp_path: Path, image: Any, shape: tuple[int, ...], axes: str, spacing: Any) -> None:
    data = voxels("u1", shape)
    scale = image.get("scale", [1] * len(shape))
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    path = write_image(tmp_path / "case.zarr", data, "0.4", {**image, "datasets": datasets})
    with open_volume(path) as volume:
        assert volume.geometry.axes == axes
        np.testing.assert_equal(volume.geometry.spacing, spacing or (math.nan,) * len(volume.geometry.shape))
        np.testing.assert_array_equal(whole(volume), data.reshape(volume.geometry.shape))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({**IMAGE, "axes": IMAGE["axes"][1:]}, "expected 5 axes"),
        ({**IMAGE, "axes": 5}, "expected 5 axes, found 5"),
        ({**IMAGE, "datasets": []}, "expected datasets of an image"),
        ({**IMAGE, "datasets": [{"path": 5}]}, "expected datasets of an image"),
        ({**IMAGE, "datasets": [{"path": "../case.zarr/0"}]}, "expected the path of an array inside"),
        ({**IMAGE, "datasets": [{"path": "7"}]}, "expected the array 7 of the image, found none"),
        ({**IMAGE, "datasets": [{"path": ""}]}, "found a group"),
    ],
)
def test_false_images_are_refused(tmp_path: Path, image: Any, expected: str) -> None:
    refused(write_image(tmp_path / "case.zarr", voxels("u1", (1, 1, *SHAPE)), "0.4", image), expected)


def test_several_channels_or_images_are_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "channels.zarr", voxels("u1", (1, 3, *SHAPE)), "0.5")
    refused(path, "expected labels of one channel, found 3 along the axis 'c'")
    edit(path, lambda document: document["attributes"]["ome"]["multiscales"].append({}))
    refused(path, "expected one multiscale image")
    edit(path, lambda document: document["attributes"].update(ome={"multiscales": 3}))
    refused(path, "expected one multiscale image, found 3")
    edit(path, lambda document: document.update(attributes=[3]))
    refused(path, "expected attributes by name")


# Hostile metadata

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


def test_without_zarr_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "case.zarr", voxels())
    monkeypatch.setitem(sys.modules, "zarr", None)
    refused(path, 'pip install "fastseg-metrics[zarr]"')


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, fastseg.volumes.formats.zarr; print(sorted({'zarr', 'numcodecs', 'asyncio'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_closed_volume_stays_closed(tmp_path: Path, zipped: bool) -> None:
    path = write(tmp_path / "case.zarr", voxels())
    path = zip_folder(path) if zipped else path
    open_volume(path).close()
    volume = open_volume(path)
    whole(volume)
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="closed"):
        whole(volume)


def test_names_of_cases() -> None:
    assert split_suffix("liver_001.zarr.zip") == ("liver_001", ".zarr.zip")
    assert split_suffix("liver_001.zarr") == ("liver_001", ".zarr")
