"""Files at URLs are counted as the same files on disk are; what goes wrong is said without anybody's password."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import pytest
import zarr

import fastseg
from fastseg.volumes import VolumeError, is_url, open_volume, remote, split_inside
from fastseg.volumes.paths import Url, concealed

TRUE = np.random.default_rng(5).integers(0, 3, (12, 13, 14)).astype(np.uint8)
PRED = np.where(np.arange(12)[:, None, None] < 3, 1, TRUE).astype(np.uint8)
COUNTS = fastseg.count_labels(TRUE, PRED, num_classes=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("stores")
    for version in (2, 3):
        zarr.create_array(top / f"v{version}.zarr", data=TRUE, chunks=(8, 8, 8), zarr_format=version)
    zarr.create_array(top / "sharded.zarr", data=PRED, chunks=(4, 4, 4), shards=(8, 8, 8))
    group = zarr.open_group(top / "group.zarr", mode="w")
    group.create_array("masks/left", data=PRED, chunks=(5, 5, 5))
    group.create_array("right", data=TRUE, chunks=(12, 13, 14))
    np.save(top / "pred.npy", PRED)
    np.savez(top / "pred.npz", labels=PRED)
    with h5py.File(top / "pred.h5", "w") as file:
        file["masks/a"], file["masks/b"] = PRED, TRUE
    with zarr.storage.ZipStore(top / "pred.zarr.zip", mode="w") as store:
        zarr.create_array(store, data=PRED, chunks=(8, 8, 8))
    return top


@pytest.fixture
def memory(folder: Path) -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    store.put(f"{folder}/", "/stores", recursive=True)
    yield store
    store.rm("/stores", recursive=True)


@pytest.fixture
def spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Closed(Quiet):
    """Lists nothing, as most do."""

    def list_directory(self, path: Any) -> None:
        self.send_error(403)


class Cut(Quiet):
    """Ends in the middle of a file."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        outputfile.write(source.read()[:500])


class Ranged(Quiet):
    """Sends the range that was asked for, as most do."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1 if last else None] if first else content[-int(last) :]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture(params=[Quiet])
def web(folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(request.param, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("true", ["v2.zarr", "v3.zarr", "group.zarr::right"])
@pytest.mark.parametrize("pred", ["sharded.zarr", "group.zarr::masks/left", "pred.npy", "pred.npz", "pred.npz::labels"])
def test_zarr_in_memory(memory: Any, spooled: Path, true: str, pred: str) -> None:
    assert fastseg.count_files(f"memory://stores/{true}", f"memory://stores/{pred}", num_classes=3) == COUNTS
    assert not list(spooled.iterdir())


@pytest.mark.parametrize("pred", ["pred.zarr.zip", "pred.h5::/masks/a"])
def test_other_formats_in_memory(memory: Any, spooled: Path, pred: str) -> None:
    assert fastseg.count_files("memory://stores/v3.zarr", f"memory://stores/{pred}", num_classes=3) == COUNTS
    with pytest.raises(VolumeError, match="^memory://stores/pred.h5") as caught:
        open_volume("memory://stores/pred.h5")
    assert str(spooled) not in str(caught.value)
    assert not list(spooled.iterdir())


@pytest.mark.parametrize("pred", ["sharded.zarr", "pred.npy"])
def test_urls_of_files(folder: Path, pred: str) -> None:
    assert fastseg.count_files(f"{folder.as_uri()}/v3.zarr", f"{folder.as_uri()}/{pred}", num_classes=3) == COUNTS
    assert fastseg.count_files(folder / "v3.zarr", f"{folder.as_uri()}/{pred}", num_classes=3) == COUNTS


@pytest.mark.parametrize("web", [Cut], indirect=True)
def test_a_transfer_that_ends_early(web: str, spooled: Path) -> None:
    with pytest.raises(VolumeError, match=f"^{web}/pred.npy: cannot be read: ClientPayloadError"):
        open_volume(f"{web}/pred.npy")
    assert not list(spooled.iterdir())


def test_what_a_store_says_of_its_files(memory: Any) -> None:
    found = remote.stored_at(Url("memory://stores/v3.zarr"))
    assert len(found) == 9
    assert found["memory://stores/v3.zarr/zarr.json"].size == memory.size("/stores/v3.zarr/zarr.json")
    assert all(each.mark for each in found.values())
    with pytest.raises(VolumeError, match="memory://stores/none.npy: there is no such file"):
        remote.stored_at(Url("memory://stores/none.npy"))


@pytest.mark.parametrize("web", [Closed], indirect=True)
def test_a_store_that_lists_nothing_says_nothing_of_a_folder(web: str) -> None:
    (found,) = remote.stored_at(Url(f"{web}/v3.zarr")).values()
    assert (found.size, found.mark) == (None, None)


@pytest.mark.parametrize("web", [Quiet, Closed], indirect=True)
def test_web_addresses(web: str, spooled: Path) -> None:
    assert fastseg.count_files(f"{web}/v2.zarr", f"{web}/pred.npy?Signature=secret", num_classes=3) == COUNTS
    assert fastseg.count_files(f"{web}/v3.zarr", f"{web}/group.zarr::masks/left", num_classes=3) == COUNTS
    assert not list(spooled.iterdir())


@pytest.mark.parametrize("web", [Quiet, Closed, Ranged], indirect=True)
def test_shards_at_web_addresses_also_of_servers_that_send_whole_files(web: str) -> None:
    assert fastseg.count_files(f"{web}/v3.zarr", f"{web}/sharded.zarr", num_classes=3) == COUNTS


def test_scores_say_urls_without_credentials(web: str) -> None:
    with_password = web.replace("//", "//me:secret@")
    scores = fastseg.evaluate_files(f"{with_password}/v3.zarr", f"{with_password}/pred.npz?key=secret", metrics="dice")
    assert (scores.files["reference"], scores.files["prediction"]) == (f"{web}/v3.zarr", f"{web}/pred.npz?…")
    assert "secret" not in json.dumps(scores.to_dict())
    assert scores["dice"].tolist() == fastseg.dice(TRUE, PRED).tolist()


def test_probabilities(memory: Any, spooled: Path) -> None:
    soft = fastseg.one_hot(PRED, 3, channel_axis=0, dtype=np.float32)
    np.savez(spooled / "soft.npz", probabilities=soft)
    memory.put(str(spooled / "soft.npz"), "/stores/soft.npz")
    (spooled / "soft.npz").unlink()
    scores = fastseg.evaluate_files("memory://stores/pred.npy", "memory://stores/soft.npz", metrics="dice")
    assert scores["dice"].tolist() == fastseg.dice(PRED, PRED).tolist()
    assert "brier" in str(scores).lower()
    assert not list(spooled.iterdir())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memory://stores/none.zarr", "expected zarr.json or .zarray or .zgroup, found none"),
        ("memory://stores/none.npy", "there is no such file"),
        ("memory://stores/none", "there is no such file"),
        ("nowhere://a/b.npy", "Protocol not known: nowhere"),
        ("http://me:secret@127.0.0.1:9/a.npy?key=secret", r"127.0.0.1:9/a.npy\?…: cannot be read: ClientConnector"),
        ("http://me:secret@127.0.0.1:9/a.zarr", "zarr.json: cannot be read: ClientConnector"),
    ],
)
def test_what_is_not_there(memory: Any, spooled: Path, url: str, why: str) -> None:
    with pytest.raises(VolumeError, match=why) as caught:
        open_volume(url)
    assert str(caught.value).startswith(concealed(url))
    assert "secret" not in str(caught.value)
    assert not list(spooled.iterdir())


def test_truncated(memory: Any, spooled: Path) -> None:
    chunk = memory.cat("/stores/v3.zarr/c/0/0/0")
    memory.pipe("/stores/v3.zarr/c/0/0/0", chunk[: len(chunk) // 2])
    with pytest.raises(VolumeError, match="memory://stores/v3.zarr: truncated or corrupt between"):
        fastseg.count_files("memory://stores/v3.zarr", "memory://stores/pred.npy", num_classes=3)
    memory.pipe("/stores/pred.npy", memory.cat("/stores/pred.npy")[:-7])
    with pytest.raises(VolumeError, match="memory://stores/pred.npy: truncated or corrupt: ") as caught:
        fastseg.count_files("memory://stores/v2.zarr", "memory://stores/pred.npy", num_classes=3)
    assert str(spooled) not in str(caught.value)
    assert not list(spooled.iterdir())


def test_a_copy_is_as_long_as_its_store_says(memory: Any, spooled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(memory), "get_file", lambda *given: Path(given[2]).write_bytes(b"short"))
    with pytest.raises(VolumeError, match="pred.npy: truncated: expected 2312 bytes, found 5"):
        open_volume("memory://stores/pred.npy")
    assert not list(spooled.iterdir())


def test_a_header_alone_says_where_its_voxels_should_be(memory: Any, spooled: Path) -> None:
    header = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    memory.pipe("/stores/a.mhd", header.encode())
    with pytest.raises(VolumeError, match="^memory://stores/a") as caught:
        open_volume("memory://stores/a.mhd")
    assert str(spooled) not in str(caught.value)


def test_missing_chunks_are_noted(memory: Any) -> None:
    memory.rm("/stores/v3.zarr/c/0/0/0")
    with open_volume("memory://stores/v3.zarr") as volume:
        assert volume.notes == (
            "memory://stores/v3.zarr: 1 of 8 chunks are not stored: their voxels have the fill value 0",
        )


@pytest.mark.parametrize("missing", ["fsspec", "s3fs"])
def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = remote.importlib.import_module

    class Core:
        @staticmethod
        def url_to_fs(url: str) -> None:
            raise ImportError("Install s3fs to access S3")

    def imported(name: str) -> Any:
        if missing == "fsspec" and name == "fsspec":
            raise ImportError(name="fsspec")
        return Core if name == "fsspec.core" else real(name)

    monkeypatch.setattr("importlib.import_module", imported)
    wanted = {"fsspec": r'needs fsspec: pip install "fastseg-metrics\[remote\]"', "s3fs": "Install s3fs to access S3"}
    with pytest.raises(VolumeError, match=f"^s3://bucket/a.npy: reading .*{wanted[missing]}$"):
        open_volume("s3://me:secret@bucket/a.npy")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("s3://b/a.zarr::x/y", ("s3://b/a.zarr", "x/y")),
        ("memory://a.zarr::x", ("memory://a.zarr", "x")),
        ("http://[::1]:80/a.zarr::x", ("http://[::1]:80/a.zarr", "x")),
        ("http://[::1]:80/a.zarr", ("http://[::1]:80/a.zarr", None)),
        ("http://a:b::c@h/a.h5::/x", ("http://h/a.h5", "/x")),
    ],
)
def test_insides(path: str, parts: tuple[str, str | None]) -> None:
    assert split_inside(path) == parts


def test_what_is_no_url() -> None:
    for path in ("C:/a.nii", "C:\\a.nii", "C://a.nii", "file.h5::/a", "a/b", "", "://a"):
        assert not is_url(path), path
    assert not is_url(os.fspath(Path("s3:/a")))


def test_a_url_keeps_its_credentials_to_itself() -> None:
    url = Url("https://me:secret@host/a.nii.gz?Signature=secret")
    assert (str(url), f"{url}", repr(url)) == (*["https://host/a.nii.gz?…"] * 2, "'https://host/a.nii.gz?…'")
    assert url.file_name == "a.nii.gz"
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(url, protocol)).full == url.full == Url(url).full


@pytest.mark.parametrize("name", ["a.seg.nrrd", "a.dcm"])
def test_named_segments_are_read_of_files_that_are_here(name: str) -> None:
    """Read as a label map, they would be scored by whatever numbers they have."""
    url = f"https://me:secret@host/{name}?key=secret"
    with pytest.raises(VolumeError, match=f"^https://host/{name}.*expected a file that is here") as caught:
        fastseg.evaluate_files(url, url)
    assert "secret" not in str(caught.value)
