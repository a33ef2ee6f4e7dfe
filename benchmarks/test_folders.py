"""Folders of cases: against decompressing them, against nnU-Net's formula, and what they take of memory and start-up."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from harness import record, timed
from zlib_ng import gzip_ng

import fastseg
from fastseg.phantom import phantom_pair
from fastseg.runs import Run, evaluate_folder
from fastseg.volumes import open_volume

GROUP = "Folders of cases"
CLASSES = 14


def noisy_pair(shape: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Return a phantom and its prediction, both with ragged boundaries, as people and networks draw them."""
    rng = np.random.default_rng(seed)
    pair = []
    for volume in phantom_pair(shape, CLASSES, seed=seed):
        cells = tuple(-(-n // 3) for n in shape)
        field = rng.integers(0, 4, cells, np.uint8)  # patches of three voxels
        for axis in range(len(shape)):
            field = field.repeat(3, axis)[tuple(slice(n) for n in shape[: axis + 1])]
        for axis in range(len(shape)):  # move the boundary by a voxel along each axis where the patch says so
            volume = np.where(field == axis + 1, np.roll(volume, 1, axis), volume)
        pair.append(np.asfortranarray(volume))
    return pair


def write(path: Path, volume: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([0.8, 0.8, 1.0, 1.0])), path)


def folders(base: Path, cases: int, shape: tuple[int, ...], distinct: int) -> tuple[Path, Path]:
    """Write two folders of cases, of which so many are different volumes; the others are copies of their files."""
    both = base / "reference", base / "prediction"
    for folder in both:
        folder.mkdir(parents=True)
    for number in range(cases):
        if number < distinct:
            pair = noisy_pair(shape, number)
        for k, folder in enumerate(both):
            path = folder / f"case_{number:04d}.nii.gz"
            if number < distinct:
                write(path, pair[k])
            else:
                shutil.copyfile(folder / f"case_{number % distinct:04d}.nii.gz", path)
    return both


def part(both: tuple[Path, Path], base: Path, cases: int) -> tuple[Path, Path]:
    """Return two folders with links to the first cases of two others."""
    made = base / "reference", base / "prediction"
    for source, target in zip(both, made, strict=True):
        target.mkdir(parents=True)
        for path in sorted(source.iterdir())[:cases]:
            os.link(path, target / path.name)
    return made


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return folders(tmp_path_factory.mktemp("forty"), 40, (512, 512, 200), 4)


def test_forty_pairs(benchmark: Any, forty: tuple[Path, Path], tmp_path: Path) -> None:
    four = part(forty, tmp_path / "four", 4)
    threads = fastseg.get_num_threads()
    paths = [path for folder in forty for path in sorted(folder.iterdir())[4:]]

    def drop(path: Path) -> None:
        buffer = np.empty(1 << 20, np.uint8)
        with open_volume(path) as volume:
            while volume.read_into(buffer):
                pass

    def decompress() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(drop, paths))

    def score(both: tuple[Path, Path]) -> Run:
        return evaluate_folder(*both, tmp_path / "out", num_classes=CLASSES, resume=False)

    run = score(four)
    for number in range(4):
        pair = [np.asanyarray(nibabel.load(sorted(folder.iterdir())[number]).dataobj) for folder in four]
        codes = pair[0].astype(np.int64) * CLASSES + pair[1]
        expected = np.bincount(codes.reshape(-1), minlength=CLASSES**2).reshape(CLASSES, CLASSES)
        assert (run.counts([number]).matrix[0] == expected).all()
    ratios, seconds = [], []
    for _ in range(5):
        plain = timed(decompress)
        beyond = timed(lambda: score(forty)) - timed(lambda: score(four))
        ratios.append(plain / beyond)
        seconds.append(beyond)
    name = "36 .nii.gz pairs, 512×512×200, K=14, ragged boundaries: decompression / scoring"
    record(name, ratios, statistics.median(seconds), group=GROUP, floor=0.5, aim=0.8)
    benchmark.pedantic(lambda: score(four), rounds=1)


def nnunet_case(paths: tuple[str, str]) -> dict[int, tuple[int, int, int, int]]:
    """Count one case as nnU-Net does: by boolean masks of whole volumes, label by label."""
    import SimpleITK

    reference, prediction = (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)) for path in paths)
    used = np.ones(reference.shape, bool)
    found = {}
    for label in range(1, CLASSES):
        true, pred = reference == label, prediction == label
        found[label] = tuple(
            int(np.sum(mask & used)) for mask in (true & pred, ~true & pred, true & ~pred, ~true & ~pred)
        )
    return found


def test_nnunet_formula(benchmark: Any, forty: tuple[Path, Path], tmp_path: Path) -> None:
    both = part(forty, tmp_path / "four", 4)
    pairs = [tuple(map(str, pair)) for pair in zip(*(sorted(folder.iterdir()) for folder in both), strict=True)]

    def score() -> Run:
        return evaluate_folder(*both, num_classes=CLASSES)

    run = score()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(abs, range(2))
        theirs = []
        for _ in range(2):
            start = time.perf_counter()
            found = pool.map(nnunet_case, pairs, chunksize=1)
            theirs.append(time.perf_counter() - start)
    binary = run.binary
    for n, case in enumerate(found):
        for label, counts in case.items():
            assert counts == tuple(int(getattr(binary, k)[n, label]) for k in ("tp", "fp", "fn", "tn"))
    ours = [timed(score) for _ in range(5)]
    ratios = [t / o for t, o in zip(theirs, sorted(ours)[1:3], strict=True)]
    name = "nnU-Net's formula on SimpleITK's arrays, two processes / ours, two threads; 4 cases of 512×512×200"
    record(name, ratios, statistics.median(ours), group=GROUP, floor=20, aim=50)
    benchmark.pedantic(score, rounds=1)


PEAK = """
import sys
from pathlib import Path
from fastseg.runs import evaluate_folder
run = evaluate_folder(sys.argv[1], sys.argv[2], sys.argv[3])
assert not run.failed, run.failed[0].reason
assert run.counted
line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(line.split()[1]) / 1024)
"""


def peak(*folders: Path) -> float:
    """Return the peak resident set, in MiB, of a process that scores a folder."""
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, folders)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_memory_of_a_large_case(benchmark: Any, tmp_path: Path) -> None:
    both = tmp_path / "reference", tmp_path / "prediction"
    pair = phantom_pair((512, 512, 60), CLASSES, dtype=np.float64)
    for folder, volume in zip(both, pair, strict=True):
        folder.mkdir()
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.float64)
        header.set_data_shape((512, 512, 1500))
        header["vox_offset"], header["magic"] = 352, b"n+1"
        slab = np.asfortranarray(volume).tobytes(order="F")
        with gzip_ng.open(folder / "case.nii.gz", "wb", compresslevel=1) as file:
            file.write(header.binaryblock + bytes(4))
            for _ in range(25):
                file.write(slab)
    mib = peak(*both, tmp_path / "out")
    name = "peak resident set, a pair of 512×512×1500 float64 labels (3.1 GB each), .nii.gz: MiB"
    record(name, [mib], 0, group=GROUP, floor=400, aim=250, unit="", at_most=True)
    benchmark.pedantic(lambda: None, rounds=1)


def test_small_cases(benchmark: Any, tmp_path: Path) -> None:
    both = folders(tmp_path, 5000, (64, 64, 64), 8)
    evaluate_folder(*part(both, tmp_path / "few", 20), tmp_path / "out", num_classes=CLASSES)
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = []

    def look(progress: Any) -> None:
        sizes.append((progress.cases, int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20))

    rates = []
    for _ in range(3):
        sizes.clear()
        seconds = timed(
            lambda: evaluate_folder(*both, tmp_path / "out", num_classes=CLASSES, resume=False, progress=look)
        )
        rates.append(5000 / seconds)
    record("5,000 cases of 64³: cases/s, results written", rates, 5000 / statistics.median(rates), group=GROUP,
           floor=1000, aim=3000, unit="")  # fmt: skip
    quarter = next(size for cases, size in sizes if cases >= 1250)
    grown = sizes[-1][1] - quarter
    record("growth of the resident set from case 1,250 to case 5,000: MiB", [grown], 0, group=GROUP, unit="")
    benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.parametrize("kind", ["Zarr", "HDF5"])
def test_chunked_gigabytes(benchmark: Any, tmp_path: Path, kind: str) -> None:
    """8 GB a file of uint8, in chunks of 128³: every chunk is a copy of one, so that writing them takes seconds."""
    both = tmp_path / "reference", tmp_path / "prediction"
    shape, chunk = (2048, 2048, 2048), (128, 128, 128)
    for folder, block in zip(both, phantom_pair(chunk, CLASSES, foreground=0.5), strict=True):
        folder.mkdir()
        if kind == "Zarr":
            import zarr

            array = zarr.create_array(str(folder / "case.zarr"), shape=shape, chunks=chunk, dtype="u1", fill_value=0)
            array[:128, :128, :128] = block
            root = folder / "case.zarr" / "c"
            first = (root / "0" / "0" / "0").read_bytes()
            for i, j, k in np.ndindex(16, 16, 16):
                (root / str(i) / str(j)).mkdir(parents=True, exist_ok=True)
                (root / str(i) / str(j) / str(k)).write_bytes(first)
        else:
            import h5py

            with h5py.File(folder / "case.h5", "w") as file:
                data = file.create_dataset("labels", shape, "u1", chunks=chunk, compression="gzip", compression_opts=1)
                data[:128, :128, :128] = block
                _, first = data.id.read_direct_chunk((0, 0, 0))
                for index in np.ndindex(16, 16, 16):
                    data.id.write_direct_chunk(tuple(128 * i for i in index), first)
    start = time.perf_counter()
    mib = peak(*both, tmp_path / "out")
    seconds = time.perf_counter() - start
    record(f"peak resident set, {kind} pair of 2 × 8.6 GB, chunks of 128³: MiB", [mib], seconds, group=GROUP, unit="")
    benchmark.pedantic(lambda: None, rounds=1)


FIRST = """
import runpy, sys, time
import fastseg.runs.scoring.journal as journal
append = journal.Journal.append
def noted(self, record):
    print(time.time(), file=sys.stderr)
    append(self, record)
journal.Journal.append = noted
sys.argv = ["fastseg", "evaluate", *sys.argv[1:], "--quiet"]
runpy.run_module("fastseg", run_name="__main__")
"""


def test_start_up(benchmark: Any, tmp_path: Path) -> None:
    both = folders(tmp_path, 1, (64, 64, 64), 1)
    command = [sys.executable, "-c", FIRST, *map(str, both), "--no-resume", "-o", str(tmp_path / "out")]

    def first_case() -> float:
        start = time.time()
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return float(done.stderr.split()[0]) - start

    def usage() -> float:
        return timed(
            lambda: subprocess.run([sys.executable, "-m", "fastseg", "--help"], check=True, capture_output=True)
        )

    first_case(), usage()
    for name, measure, floor, aim in (
        ("fastseg --help: seconds", usage, 0.4, 0.25),
        ("start of the command to the first case scored: seconds", first_case, 1.2, 0.8),
    ):
        found = [measure() for _ in range(7)]
        record(name, found, statistics.median(found), group=GROUP, floor=floor, aim=aim, unit=" s", at_most=True)
    benchmark.pedantic(lambda: None, rounds=1)
