"""Drop-ins for nnU-Net's evaluation of files and folders: `nnunetv2.evaluation.evaluate_predictions`.

Files are counted as they are decompressed, by threads instead of new processes; which files are compared, the means and
``summary.json`` are nnU-Net's own work. Compared are arrays, as nnU-Net does: where the volumes lie does not matter.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, Self

from fastseg.adapters.calls import NotCovered, attempt, drop_in
from fastseg.adapters.hosts import HOSTS, load, version
from fastseg.adapters.nnunet_files import in_threads, metrics_of_files

load("nnunet")  # or say what to install

from nnunetv2.configuration import default_num_processes  # noqa: E402
from nnunetv2.evaluation import evaluate_predictions  # noqa: E402

__all__ = [
    "compute_metrics",
    "compute_metrics_on_folder",
    "compute_metrics_on_folder2",
    "compute_metrics_on_folder_simple",
    "evaluate_folder_entry_point",
    "evaluate_simple_entry_point",
]

_PATH = "nnunetv2.evaluation.evaluate_predictions"
#: Readers whose arrays are the voxels as stored.
_READERS = ("nnunetv2.imageio.simpleitk_reader_writer.SimpleITKIO", "nnunetv2.imageio.nibabel_reader_writer.NibabelIO")
#: What nnU-Net's functions did when this module was imported: `fastseg.patch` has them do otherwise.
_CODES: dict[Any, types.CodeType] = {
    each: each.__code__ for each in vars(evaluate_predictions).values() if isinstance(each, types.FunctionType)
}


@drop_in(f"{_PATH}.compute_metrics")
def compute_metrics(
    reference_file: str,
    prediction_file: str,
    image_reader_writer: Any,
    labels_or_regions: Any,
    ignore_label: Any = None,
) -> dict[str, Any]:
    """Counted here: NIfTI, NRRD and MetaImage files that nnU-Net reads by SimpleITK, or by nibabel as they lie."""
    return _metrics_of_files(
        reference_file, prediction_file, image_reader_writer, labels_or_regions, ignore_label, threads=None
    )


@drop_in(f"{_PATH}.compute_metrics_on_folder")
def compute_metrics_on_folder(
    folder_ref: str,
    folder_pred: str,
    output_file: str,
    image_reader_writer: Any,
    file_ending: str,
    regions_or_labels: Any,
    ignore_label: Any = None,
    num_processes: int = default_num_processes,
    chill: bool = True,
) -> Any:
    """Counted here: what `compute_metrics` counts, at most `num_processes` cases at once; others are nnU-Net's to read."""
    function = _with(evaluate_predictions.compute_metrics_on_folder, multiprocessing=_Threads)
    return function(
        folder_ref,
        folder_pred,
        output_file,
        image_reader_writer,
        file_ending,
        regions_or_labels,
        ignore_label,
        num_processes,
        chill,
    )


@drop_in(f"{_PATH}.compute_metrics_on_folder2")
def compute_metrics_on_folder2(
    folder_ref: str,
    folder_pred: str,
    dataset_json_file: str,
    plans_file: str,
    output_file: Any = None,
    num_processes: int = default_num_processes,
    chill: bool = False,
) -> Any:
    """Counted here: what `compute_metrics` counts."""
    function = _with(
        evaluate_predictions.compute_metrics_on_folder2, compute_metrics_on_folder=compute_metrics_on_folder
    )
    return function(folder_ref, folder_pred, dataset_json_file, plans_file, output_file, num_processes, chill)


@drop_in(f"{_PATH}.compute_metrics_on_folder_simple")
def compute_metrics_on_folder_simple(
    folder_ref: str,
    folder_pred: str,
    labels: Any,
    output_file: Any = None,
    num_processes: int = default_num_processes,
    ignore_label: Any = None,
    chill: bool = False,
) -> Any:
    """Counted here: what `compute_metrics` counts."""
    function = _with(
        evaluate_predictions.compute_metrics_on_folder_simple, compute_metrics_on_folder=compute_metrics_on_folder
    )
    return function(folder_ref, folder_pred, labels, output_file, num_processes, ignore_label, chill)


@drop_in(f"{_PATH}.evaluate_folder_entry_point", statistic="none")
def evaluate_folder_entry_point() -> Any:
    """It is the command ``nnUNetv2_evaluate_folder``."""
    function = _with(
        evaluate_predictions.evaluate_folder_entry_point, compute_metrics_on_folder2=compute_metrics_on_folder2
    )
    return function()


@drop_in(f"{_PATH}.evaluate_simple_entry_point", statistic="none")
def evaluate_simple_entry_point() -> Any:
    """It is the command ``nnUNetv2_evaluate_simple``."""
    function = _with(
        evaluate_predictions.evaluate_simple_entry_point,
        compute_metrics_on_folder_simple=compute_metrics_on_folder_simple,
    )
    return function()


def _with(theirs: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """Return nnU-Net's function with other things under some of its names: what it does besides is known of few versions."""
    if not HOSTS["nnunet"].tested_with(version("nnunet")):
        raise NotCovered("a version of nnU-Net that was not tested")
    code = _CODES.get(theirs)
    if code is None or not set(names) <= set(code.co_names):
        raise NotCovered("a function of nnU-Net that was replaced")
    return types.FunctionType(code, vars(evaluate_predictions) | names, theirs.__name__, theirs.__defaults__)


class _Threads:
    """What `compute_metrics_on_folder` asks of multiprocessing: a pool, here of threads."""

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)

    @classmethod
    def get_context(cls, _: str) -> type[Self]:
        """Return what has a `Pool`."""
        return cls

    @classmethod
    def Pool(cls, workers: int) -> Self:  # noqa: N802 — as it is called there
        """Return a pool."""
        return cls(workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def starmap(self, _: Any, cases: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return the metrics of the cases, in order."""
        return in_threads(_case, cases, self._workers)


def _case(*case: Any, threads: int) -> dict[str, Any]:
    """Return the metrics of one case; whatever is not covered is nnU-Net's."""
    metrics: dict[str, Any] = attempt(
        "nnunet.compute_metrics",
        lambda: _metrics_of_files(*case, threads=threads),
        lambda: evaluate_predictions.compute_metrics(*case),
    )
    return metrics


def _metrics_of_files(
    reference: Any, prediction: Any, reader: Any, labels_or_regions: Any, ignore_label: Any, *, threads: int | None
) -> dict[str, Any]:
    kind = type(reader)
    if f"{kind.__module__}.{kind.__qualname__}" not in _READERS:
        raise NotCovered("a reader of nnU-Net that reads in another way")
    return metrics_of_files(reference, prediction, labels_or_regions, ignore_label, threads=threads)
