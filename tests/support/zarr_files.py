"""Zarr arrays in every form that the two versions have."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

zarr: Any = pytest.importorskip("zarr")
numcodecs: Any = pytest.importorskip("numcodecs")


def write(path: Any, data: np.ndarray, **options: Any) -> Any:
    """Write an array with zarr, by default in chunks that do not divide it."""
    options = {"chunks": (4, 5, 4)[: data.ndim], "zarr_format": 3} | options
    name = options.pop("name", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(path, name=name, shape=data.shape, dtype=data.dtype, **options)
        array[...] = data
    return path


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


def zip_folder(path: Path) -> Path:
    target = path.with_name(path.name + ".zip")
    with zipfile.ZipFile(target, "w") as file:
        for each in sorted(path.rglob("*"), reverse=True):
            file.write(each, each.relative_to(path))
    return target


def edit(path: Path, change: Any, name: str = "zarr.json") -> None:
    document = json.loads((path / name).read_text())
    change(document)
    (path / name).write_text(json.dumps(document))
