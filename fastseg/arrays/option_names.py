"""What is said of a keyword argument that a function does not have: the name that was meant, or the function that has it."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import ParamSpec, TypeVar

__all__ = ["check_options", "explained"]

P = ParamSpec("P")
R = TypeVar("R")

#: What other libraries call our options.
_ALSO_CALLED = {
    "axis": "channel_axis",
    "batch_axis": "sample_axis",
    "batch_dim": "sample_axis",
    "case_axis": "sample_axis",
    "channel_dim": "channel_axis",
    "class_weights": "class_weight",
    "dim": "channel_axis",
    "eps": "epsilon",
    "from_logits": "activation",
    "ignore_label": "ignore_index",
    "n_bins": "bins",
    "n_classes": "num_classes",
    "num_labels": "num_classes",
    "num_threads": "threads",
    "reduction": "average",
    "sigmoid": "activation",
    "smooth": "epsilon",
    "softmax": "activation",
    "weight": "sample_weight",
    "weights": "sample_weight",
}
#: What one thing is called in functions of labels, of scores, of files, and in other libraries: the first that is there is
#: meant.
_ONE_THING = (
    ("y_true", "reference", "ground_truth", "gt", "target", "targets"),
    ("y_pred", "y_score", "prediction", "input", "logits", "pred", "predictions", "preds", "probabilities", "y_prob"),
    ("ignore_index", "ignore"),
    ("include_background", "background"),
    ("warn", "note"),
    ("client", "cluster", "scheduler", "dask_client"),
)
_METRIC = "metrics such as fastseg.dice have it, and those of fastseg.metrics, which take counts"
_SUMS = "sum_scores, evaluate_scores and Evaluator(scores=True) have it, for probabilities or logits"
_FILES = "evaluate_files has it"
_LOSS = "losses such as fastseg.soft_dice_loss have it, for probabilities or logits"
#: Where our options are at home, and what to do instead elsewhere.
_AT_HOME = {
    "activation": f"{_SUMS}; so have losses",
    "alpha": "fastseg.tversky has it",
    "average": f"{_METRIC}; tables of several metrics have both means, mean and foreground_mean",
    "axes": _FILES,
    "backend": "count_labels, count_masks and sum_scores have it",
    "beta": "fastseg.fbeta and fastseg.tversky have it",
    "bins": _SUMS,
    "channel_axis": (
        "of masks or one-hot maps count_masks, evaluate and metrics such as fastseg.dice have it; of probabilities or logits "
        "sum_scores and evaluate_scores have it; label maps have no channels"
    ),
    "class_weight": f"{_SUMS}; so have losses",
    "classes": "count_masks has it, for names of channels; of label maps the classes are num_classes= or labels=",
    "compute": "functions of arrays have it, such as count_labels and evaluate, for those of Dask",
    "epsilon": _LOSS,
    "focal_gamma": _SUMS,
    "geometry": _FILES,
    "geometry_tolerance": _FILES,
    "ignore_index": "functions of label maps have it, such as count_labels and evaluate; elsewhere mask= leaves voxels out",
    "include_background": f"{_METRIC}; tables of several metrics have both means, mean and foreground_mean",
    "label_smoothing": f"{_SUMS}; so have losses",
    "labels": "functions of label maps have it, such as count_labels and evaluate; channels of masks are named by classes=",
    "map_prediction": f"{_FILES}; of counts of arrays LabelCounts.rename gives labels other values",
    "mask": "functions of arrays have it, such as count_labels and sum_scores, and Evaluator.update; of files roi=, a path",
    "metrics": "evaluate and evaluate_scores have it",
    "names": "evaluate and evaluate_scores have it; of files labels= is a table of names",
    "num_classes": (
        "functions of label maps have it, such as count_labels and evaluate; masks and scores have as many classes as channels"
    ),
    "num_threads": "it is of the whole process: fastseg.set_num_threads",
    "per_case": "Evaluator has it; of arrays sample_axis= keeps samples apart",
    "quantities": _SUMS,
    "regions": "evaluate, evaluate_files and surface_distances have it; of counts LabelCounts.regions makes unions of labels",
    "reorient": _FILES,
    "roi": "functions of files have it, for a path; of arrays it is mask=, an array",
    "sample_axis": "functions of arrays have it, and Evaluator.update; a file is one case, and evaluate_folder scores many",
    "sample_weight": "functions of arrays have it, such as count_labels and sum_scores, and Evaluator.update",
    "scale": _SUMS,
    "spacing": "evaluate has it, where metrics of surfaces are asked for, surface_distances, and metrics such as fastseg.hd95",
    "squared": _LOSS,
    "threads": "of arrays it is for the whole process: fastseg.set_num_threads",
    "tolerance": "fastseg.nsd and fastseg.surface_overlap have it, and evaluate and Evaluator, where these are asked for",
    "unknown": "count_labels has it, and what counts label maps, such as evaluate",
    "zero_division": f"{_METRIC}; so have evaluate and Evaluator; of folders convention= says it",
}


def check_options(name: str, options: Iterable[str], allowed: Collection[str]) -> None:
    """Raise a TypeError if a keyword argument is not allowed: Python's, followed by what to call instead.

    Parameters
    ----------
    name
        The function that was called.
    options
        The names of the keyword arguments that were given.
    allowed
        Those of all that the function has.
    """
    for option in options:
        if option not in allowed:
            hint = _hint(option, allowed)
            raise TypeError(f"{name}() got an unexpected keyword argument {option!r}" + (f" ({hint})" if hint else ""))


def _hint(option: str, allowed: Collection[str]) -> str:
    meant = _ALSO_CALLED.get(option, option)
    if meant in allowed:
        return f"did you mean {meant!r}?"
    for called in _ONE_THING:
        if option in called and (there := next((name for name in called if name in allowed), None)):
            return f"did you mean {there!r}?"
    if option in _AT_HOME:
        return _AT_HOME[option]
    near = difflib.get_close_matches(option, sorted(allowed), 1, 0.7)
    if near:
        return f"did you mean {near[0]!r}?"
    meant = next(iter(difflib.get_close_matches(meant, _AT_HOME, 1, 0.8)), "")
    return f"if {meant!r} is meant: {_AT_HOME[meant]}" if meant else ""


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function say of a keyword argument that it does not have what `check_options` says."""
    allowed = frozenset(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        if not allowed.issuperset(options):
            check_options(function.__qualname__, options, allowed)
        return function(*args, **options)

    return call
