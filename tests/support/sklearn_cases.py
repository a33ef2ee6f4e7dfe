"""Random targets and options for the classification metrics of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

WORDS = np.array(["background", "liver", "left kidney", "right kidney", "ß", "spleen"])
NUMBERS = np.array([0, 1, 2, 5, 100, -3])
DTYPES = [np.int64, np.int32, np.int8, np.uint8, np.uint64, np.float64, np.float32]
ZERO_DIVISIONS = ["warn", "warn", 0, 1, 0.0, 1.0, float("nan")]

#: What else each function takes, beside `sample_weight`.
OPTIONS: dict[str, tuple[str, ...]] = {
    "accuracy_score": ("normalize",),
    "balanced_accuracy_score": ("adjusted",),
    "class_likelihood_ratios": ("labels", "replace_undefined_by"),
    "classification_report": ("labels", "target_names", "digits", "output_dict", "zero_division"),
    "cohen_kappa_score": ("labels", "weights"),
    "confusion_matrix": ("labels", "normalized"),
    "f1_score": ("labels", "pos_label", "average", "zero_division"),
    "fbeta_score": ("beta", "labels", "pos_label", "average", "zero_division"),
    "hamming_loss": (),
    "jaccard_score": ("labels", "pos_label", "average", "zero_division"),
    "matthews_corrcoef": (),
    "multilabel_confusion_matrix": ("labels", "samplewise"),
    "precision_recall_fscore_support": ("beta", "labels", "pos_label", "average", "warn_for", "zero_division"),
    "precision_score": ("labels", "pos_label", "average", "zero_division"),
    "recall_score": ("labels", "pos_label", "average", "zero_division"),
    "zero_one_loss": ("normalize",),
}


def columns(rng: np.random.Generator) -> tuple[Any, Any, np.ndarray]:
    """Return two columns of labels of one kind, in a random container, and the labels that they may have."""
    text, size, known = rng.random() < 0.3, int(rng.choice([1, 2, 5, 30, 200])), int(rng.integers(1, 6))
    labels = rng.permutation(WORDS if text else NUMBERS)[:known]
    if rng.random() < 0.5:
        labels = np.sort(WORDS)[:known] if text else np.arange(known)
    true, pred = labels[rng.integers(0, known, size)], labels[rng.integers(0, known, size)]
    if rng.random() < 0.3:
        pred = np.where(rng.random(size) < 0.8, true, pred)
    if not text and labels.min() >= 0:
        true, pred = (column.astype(rng.choice(DTYPES)) for column in (true, pred))
        if set(labels.tolist()) <= {0, 1} and rng.random() < 0.3:
            true, pred = true.astype(bool), pred.astype(bool)
    return _contained(true, rng), _contained(pred, rng), labels


def _contained(column: np.ndarray, rng: np.random.Generator) -> Any:
    kind = rng.integers(0, 8)
    if kind == 0:
        return column.tolist()
    if kind == 1 and column.dtype.kind == "U":
        return column.astype(object)
    return np.repeat(column, 2)[::2] if kind == 2 else column


def indicators(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two arrays of zeros and ones, samples by labels."""
    shape = int(rng.choice([1, 3, 40])), int(rng.integers(2, 6))
    density, dtype = rng.choice([0.1, 0.5]), rng.choice([np.int64, np.uint8, np.bool_])
    true, pred = ((rng.random(shape) < density).astype(dtype) for _ in range(2))
    return true, pred, np.arange(shape[1])


def weights(rng: np.random.Generator, size: int) -> Any:
    """Return weights, or none."""
    kind = rng.integers(0, 7)
    if kind == 0:
        return rng.random(size)
    if kind == 1:
        return rng.random(size).astype(np.float32)
    if kind == 2:
        return rng.integers(1, 5, size)
    if kind == 3:
        return rng.integers(0, 2, size).tolist()
    return None


def options(rng: np.random.Generator, name: str, labels: np.ndarray, *, multilabel: bool) -> dict[str, Any]:
    """Return some of a function's options at random, seldom such as it refuses."""
    extra = rng.permutation(
        [*labels.tolist(), *([] if multilabel else (["zzz"] if labels.dtype.kind == "U" else [77]))]
    )
    chosen = rng.choice(len(extra), int(rng.integers(1, len(extra) + 1)), replace=False)
    averages = ["binary", "micro", "macro", "weighted", None, "samples"]
    drawn = {
        "normalize": bool(rng.integers(2)),
        "adjusted": bool(rng.integers(2)),
        "samplewise": bool(rng.integers(2)),
        "output_dict": bool(rng.integers(2)),
        "labels": extra[chosen] if rng.integers(2) else extra[chosen].tolist(),
        "replace_undefined_by": [float("nan"), 1.0, {"LR+": 2.0, "LR-": 0.5}][rng.integers(3)],
        "target_names": [f"class {n}" for n in range(len(labels))],
        "digits": int(rng.integers(0, 5)),
        "weights": [None, "linear", "quadratic"][rng.integers(3)],
        "normalized": [None, "true", "pred", "all"][rng.integers(4)],
        "pos_label": labels[rng.integers(len(labels))].item(),
        "average": averages[rng.integers(6)],
        "beta": [0, 0.5, 1, 2.0, float("inf")][rng.integers(5)],
        "warn_for": [("precision",), ["recall", "f-score"], {"f-score"}][rng.integers(3)],
        "zero_division": ZERO_DIVISIONS[rng.integers(7)],
    }
    found = {option: drawn[option] for option in OPTIONS[name] if rng.random() < 0.6 or option == "beta"}
    if "normalized" in found:
        found["normalize"] = found.pop("normalized")
    return found
