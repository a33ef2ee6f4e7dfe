"""The commands that look after an installation: a demonstration, what there is, and compilation ahead of time."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

import click

import fastseg
from fastseg.cli.screen import counting_progress, say, show
from fastseg.counting import threads

#: Libraries that are not always there, and the extra that brings each.
_LIBRARIES = {
    "nibabel": "cli", "zlib-ng": "cli", "SimpleITK": "itk", "tifffile": "tiff", "zarr": "zarr", "h5py": "hdf5",
    "Pillow": "images", "highdicom": "dicom", "pycocotools": "coco", "Jinja2": "report", "matplotlib": "report",
}  # fmt: skip

_DEMO_SHAPE, _DEMO_CLASSES = (512, 512, 400), 14


@click.command()
@click.option("--threads", "threads_", type=click.IntRange(min=1), metavar="N", help="Threads to use.")
def demo(threads_: int | None) -> None:
    """Make a pair of volumes (512×512×400, 14 classes), score it, and check every count against NumPy."""
    import nibabel
    import numpy as np

    from fastseg.api.files import count_files
    from fastseg.phantom import phantom_pair

    with tempfile.TemporaryDirectory(prefix="fastseg-demo-") as folder:
        say(f"writing a pair of {'×'.join(map(str, _DEMO_SHAPE))} label volumes to {folder}")
        pair = phantom_pair(_DEMO_SHAPE, _DEMO_CLASSES)
        paths = [os.path.join(folder, name) for name in ("reference.nii.gz", "prediction.nii.gz")]
        affine = np.diag([0.8, 0.8, 1.0, 1.0])
        for volume, path in zip(pair, paths, strict=True):
            image = nibabel.Nifti1Image(np.asfortranarray(volume), affine)
            image.header.set_xyzt_units("mm")
            nibabel.save(image, path)
        with counting_progress(False) as progress:
            count_files(*paths, threads=threads_, progress=progress)  # compiles, or loads from the cache
            start = time.perf_counter()
            scores = fastseg.evaluate_files(*paths, threads=threads_)
            seconds = time.perf_counter() - start
        show(str(scores))
        voxels = pair[0].size
        packed = sum(os.path.getsize(path) for path in paths)
        show(
            f"\n{voxels:,} voxels of two .nii.gz files ({packed / 1e6:.1f} MB) scored in {seconds:.3f} s: "
            f"{voxels / seconds / 1e6:,.0f} million voxels a second, {threads_ or threads.get_num_threads()} thread(s)"
        )
        codes = pair[0].reshape(-1).astype(np.int64) * _DEMO_CLASSES + pair[1].reshape(-1).astype(np.int64)
        expected = np.bincount(codes, minlength=_DEMO_CLASSES**2).reshape(_DEMO_CLASSES, _DEMO_CLASSES)
        if not np.array_equal(scores.counts.matrix[0], expected):  # type: ignore[union-attr]
            raise RuntimeError("the counts differ from NumPy's; this is a defect in fastseg, please report it")
        show(f"all {expected.size} counts equal NumPy's")


@click.command()
def info() -> None:
    """Show versions, threads, processor features, the kernel cache and CUDA."""
    import platform

    import llvmlite.binding
    import numba
    import numpy
    import scipy

    features = llvmlite.binding.get_host_cpu_features()
    wanted = ("avx512f", "avx512bw", "avx512vbmi", "avx2", "sse4.2", "neon", "sve")
    lines = {
        "fastseg": fastseg.__version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "numpy": numpy.__version__,
        "numba": f"{numba.__version__} (LLVM {'.'.join(map(str, llvmlite.binding.llvm_version_info))})",
        "scipy": scipy.__version__,
        **{name: _version(name, extra) for name, extra in _LIBRARIES.items()},
        "processor": llvmlite.binding.get_host_cpu_name(),
        "features": ", ".join(name for name in wanted if features.get(name)) or "none of those looked for",
        "threads": f"{threads.get_num_threads()} of {os.cpu_count()} processors",
        "kernel cache": _cache_folder(),
        "CUDA": _cuda(),
    }
    width = max(map(len, lines))
    show("\n".join(f"{name.ljust(width)}  {value}" for name, value in lines.items()))


@click.command()
def warmup() -> None:
    """Compile the kernels for common types now, and keep them in the cache."""
    import numpy as np

    start = time.perf_counter()
    for dtype in (np.uint8, np.int16, np.int32, np.int64, np.float32):
        labels = np.zeros(64, dtype)
        fastseg.count_labels(labels, labels, num_classes=2)
    labels = np.zeros(64, np.uint8)
    fastseg.count_labels(labels, labels.astype(np.int64), num_classes=2)
    fastseg.count_labels(labels.astype(np.int64), labels, num_classes=2)
    fastseg.count_labels(labels, labels, num_classes=2, mask=labels)
    fastseg.count_labels(labels, labels, num_classes=2, sample_weight=labels.astype(np.float32))
    fastseg.count_masks(labels, labels, channel_axis=None)
    scores = np.full((2, 64), 0.5, np.float32)  # two classes
    for activation in (None, "softmax"):
        options: dict[str, Any] = {"activation": activation, "quantities": ("dice", "cross_entropy", "brier", "argmax")}
        fastseg.sum_scores(labels, scores, channel_axis=0, **options)
        fastseg.sum_scores(labels, scores.reshape(64, 2), channel_axis=-1, **options)
    show(f"kernels are ready after {time.perf_counter() - start:.1f} s; cache: {_cache_folder()}")


def _version(distribution: str, extra: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return f'not installed (pip install "fastseg-metrics[{extra}]")'


def _cache_folder() -> str:
    from fastseg.kernels.numba import cache_folder

    return cache_folder() or "none (no folder that only this user can write)"


def _cuda() -> str:
    """Say whether there is a CUDA driver and how many devices it has, without any CUDA library of Python's."""
    import ctypes
    import ctypes.util

    names = [name for name in (ctypes.util.find_library("cuda"), "libcuda.so.1", "nvcuda.dll") if name]
    for name in names:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        if driver.cuInit(0) != 0:
            return "driver found, but it cannot be started"
        version, count = ctypes.c_int(), ctypes.c_int()
        driver.cuDriverGetVersion(ctypes.byref(version))
        driver.cuDeviceGetCount(ctypes.byref(count))
        devices = []
        for index in range(count.value):
            text = ctypes.create_string_buffer(100)
            driver.cuDeviceGetName(text, 100, index)
            devices.append(text.value.decode(errors="replace"))
        major, minor = version.value // 1000, version.value % 1000 // 10
        return f"driver {major}.{minor}, {count.value} device(s): {', '.join(devices)} (this version has no CUDA kernels yet)"
    return "no driver found"
