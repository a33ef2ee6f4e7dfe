"""The command line: a thin shell over `evaluate_files`. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import click
except ImportError:  # the console script is installed with the core package, its libraries are not
    raise SystemExit('fastseg: the command line needs: pip install "fastseg-metrics[cli]"') from None

import fastseg
from fastseg import threads

__all__ = ["main"]

#: Exit codes: 0 all scored, 2 wrong usage, 3 could not be scored, 130 interrupted.
USAGE, NOT_SCORED, INTERRUPTED = 2, 3, 130

_DEMO_SHAPE, _DEMO_CLASSES = (512, 512, 400), 14


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(fastseg.__version__, prog_name="fastseg")
def cli() -> None:
    """Exact segmentation metrics at the speed of memory."""


@cli.command()
@click.argument("reference", type=click.Path())
@click.argument("prediction", type=click.Path())
@click.option(
    "--json", "json_path", metavar="FILE", help="Write the scores as JSON to FILE; - for stdout, and no table."
)
@click.option(
    "--labels",
    metavar="FILE",
    help="Names of labels: ITK-SNAP, FreeSurfer, BIDS dseg.tsv, nnU-Net dataset.json, or lines 'index name'.",
)
@click.option(
    "--prediction-labels",
    metavar="FILE",
    help="Names of the prediction's labels, where its codes differ; equal names are one class.",
)
@click.option(
    "--map-prediction", metavar="FILE", help="Lines 'from to': codes of the prediction and what they stand for."
)
@click.option(
    "--metrics", metavar="NAMES", help="Metrics, separated by commas, or all (default: dice,iou,precision,recall)."
)
@click.option(
    "--ignore",
    type=int,
    multiple=True,
    metavar="LABEL",
    help="True label that is not scored; may be given several times.",
)
@click.option(
    "--geometry",
    type=click.Choice(["error", "warn", "ignore"]),
    default="error",
    show_default=True,
    help="What a difference in position does.",
)
@click.option(
    "--threads",
    "threads_",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads to use (default: all processors allowed).",
)
@click.option(
    "--activation",
    type=click.Choice(["none", "softmax", "sigmoid"]),
    help="What turns the scores of PREDICTION into probabilities (default: none, they are). Naming one says that it holds "
    "scores, also where it has the shape of REFERENCE: those of a single class.",
)
@click.option(
    "--channel-axis",
    type=int,
    metavar="N",
    help="The axis of the classes of scores (default: the last of a NIfTI file, of an array what the shapes tell).",
)
@click.option("--quiet", is_flag=True, help="No table, no progress, no warnings; errors only.")
def evaluate(
    reference: str,
    prediction: str,
    json_path: str | None,
    labels: str | None,
    prediction_labels: str | None,
    map_prediction: str | None,
    metrics: str | None,
    ignore: tuple[int, ...],
    geometry: str,
    threads_: int | None,
    activation: str | None,
    channel_axis: int | None,
    quiet: bool,
) -> None:
    """Score PREDICTION against REFERENCE, two NIfTI label volumes (.nii, .nii.gz).

    PREDICTION may also hold the probabilities or logits of every class: a 4-D NIfTI file (x, y, z, class), or an .npy or
    .npz file, such as nnU-Net's. The most probable labels are scored then, and soft Dice, cross-entropy and the Brier score
    of the probabilities are printed below.

    Prints Dice, IoU, precision, recall, volumes and voxel counts of each class, and the means over classes with the number
    of classes that they are over.
    """
    chosen = metrics if metrics in (None, "all") else tuple(name.strip() for name in metrics.split(",") if name.strip())
    options: dict[str, Any] = {
        "labels": labels,
        "metrics": chosen,
        "ignore_index": ignore or None,
        "geometry": geometry,
        "threads": threads_,
        "warn": (lambda _: None) if quiet else (lambda note: _say(f"warning: {note}")),
    }
    with _progress(quiet) as progress:
        if _scores_given(reference, prediction, activation, channel_axis):
            if prediction_labels or map_prediction:
                raise click.UsageError("--prediction-labels and --map-prediction are for label volumes, not for scores")
            from fastseg.score_files import evaluate_score_files

            options.update(activation=None if activation == "none" else activation, channel_axis=channel_axis)
            scores = evaluate_score_files(reference, prediction, progress=progress, **options)
        else:
            options.update(prediction_labels=prediction_labels, map_prediction=map_prediction)
            scores = fastseg.evaluate_files(reference, prediction, progress=progress, **options)
    if json_path is not None:
        _write_json(scores.to_dict(), json_path)
    if json_path != "-" and not quiet:
        click.echo(str(scores))


@cli.command()
@click.option("--threads", "threads_", type=click.IntRange(min=1), metavar="N", help="Threads to use.")
def demo(threads_: int | None) -> None:
    """Make a pair of volumes (512×512×400, 14 classes), score it, and check every count against NumPy."""
    import nibabel
    import numpy as np

    from fastseg.files import count_files
    from fastseg.phantom import phantom_pair

    with tempfile.TemporaryDirectory(prefix="fastseg-demo-") as folder:
        _say(f"writing a pair of {'×'.join(map(str, _DEMO_SHAPE))} label volumes to {folder}")
        pair = phantom_pair(_DEMO_SHAPE, _DEMO_CLASSES)
        paths = [os.path.join(folder, name) for name in ("reference.nii.gz", "prediction.nii.gz")]
        affine = np.diag([0.8, 0.8, 1.0, 1.0])
        for volume, path in zip(pair, paths, strict=True):
            image = nibabel.Nifti1Image(np.asfortranarray(volume), affine)
            image.header.set_xyzt_units("mm")
            nibabel.save(image, path)
        with _progress(False) as progress:
            count_files(*paths, threads=threads_, progress=progress)  # compiles, or loads from the cache
            start = time.perf_counter()
            scores = fastseg.evaluate_files(*paths, threads=threads_)
            seconds = time.perf_counter() - start
        click.echo(str(scores))
        voxels = pair[0].size
        packed = sum(os.path.getsize(path) for path in paths)
        click.echo(
            f"\n{voxels:,} voxels of two .nii.gz files ({packed / 1e6:.1f} MB) scored in {seconds:.3f} s: "
            f"{voxels / seconds / 1e6:,.0f} million voxels a second, {threads_ or threads.get_num_threads()} thread(s)"
        )
        codes = pair[0].reshape(-1).astype(np.int64) * _DEMO_CLASSES + pair[1].reshape(-1).astype(np.int64)
        expected = np.bincount(codes, minlength=_DEMO_CLASSES**2).reshape(_DEMO_CLASSES, _DEMO_CLASSES)
        if not np.array_equal(scores.counts.matrix[0], expected):  # type: ignore[union-attr]
            raise RuntimeError("the counts differ from NumPy's; this is a defect in fastseg, please report it")
        click.echo(f"all {expected.size} counts equal NumPy's")


@cli.command()
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
        **{name: _version(name) for name in ("nibabel", "zlib-ng")},
        "processor": llvmlite.binding.get_host_cpu_name(),
        "features": ", ".join(name for name in wanted if features.get(name)) or "none of those looked for",
        "threads": f"{threads.get_num_threads()} of {os.cpu_count()} processors",
        "kernel cache": _cache_folder(),
        "CUDA": _cuda(),
    }
    width = max(map(len, lines))
    click.echo("\n".join(f"{name.ljust(width)}  {value}" for name, value in lines.items()))


@cli.command()
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
    click.echo(f"kernels are ready after {time.perf_counter() - start:.1f} s; cache: {_cache_folder()}")


def main() -> None:
    """Run the command line; errors are single lines on stderr, and never a traceback."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.UsageError as error:
        if error.ctx is not None:
            _say(error.ctx.get_usage().replace("Usage: ", "usage: "))
        _say(f"error: {error.format_message()}")
        sys.exit(USAGE)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, TypeError, OSError, ImportError) as error:
        _say(f"error: {error}")
        sys.exit(NOT_SCORED)
    except Exception as error:
        _say(f"error: {type(error).__name__}: {error}")
        sys.exit(NOT_SCORED)


def _say(text: str) -> None:
    print(f"fastseg: {text}" if not text.startswith("usage: ") else text, file=sys.stderr)


def _scores_given(reference: str, prediction: str, activation: str | None, channel_axis: int | None) -> bool:
    """Tell whether the prediction is a file of scores: who names an activation says so."""
    if activation is not None or channel_axis is not None:
        return True
    from fastseg.score_files import holds_scores

    return holds_scores(reference, prediction)


def _write_json(scores: dict[str, Any], path: str) -> None:
    """Write to a temporary file beside `path` and rename it, so that nobody sees half a file."""
    text = json.dumps(scores, indent=2, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's files are the owner's alone
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what draws a progress bar on stderr once a second has passed, or None where stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    start, bar = time.monotonic(), None
    columns = (TextColumn("counting"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    display = Progress(*columns, console=Console(stderr=True), transient=True)

    def update(counted: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            if time.monotonic() - start < 1.0:
                return
            display.start()
            bar = display.add_task("counting", total=total)
        display.update(bar, completed=counted)

    try:
        yield update
    finally:
        if bar is not None:
            display.stop()


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'not installed (pip install "fastseg-metrics[cli]")'


def _cache_folder() -> str:
    from fastseg.kernels.jit import cache_folder

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


if __name__ == "__main__":
    main()
