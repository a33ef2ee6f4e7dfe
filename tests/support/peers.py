"""Other packages, asked what they say of drawn cases, and what they once said.

`python tests/support/peers.py` asks the installed ones again and writes their answers to data/peers.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics as sk

NAN = float("nan")
PEERS = Path(__file__).parents[1] / "data" / "peers.json"
SEED, SHAPE = 20, (3, 4, 5)
LABELS = {"complete": 5, "gaps": 6}  # In "gaps", 3 is only in truths, 4 only in predictions, 5 nowhere.

Pairs = list[tuple[np.ndarray, np.ndarray]]
# Of a metric: values (cases, classes); classes (classes,); mean as the peer takes it by default; mean with the background
# the other way. None: the peer has none.
Answer = dict[str, Any]


def draw(name: str) -> Pairs:
    """Return a dozen (truth, prediction) of small volumes, many of which lack a class or two."""
    rng = np.random.default_rng(SEED)
    cases = []
    for n in range(12):
        truth = rng.integers(0, LABELS[name], SHAPE)
        pred = np.where(rng.random(SHAPE) < 0.6, truth, rng.integers(0, LABELS[name], SHAPE))
        without = {
            1: (truth, [2]), 2: (pred, [1]), 3: (truth, [4]), 4: (pred, [0]), 5: (truth, [1, 2, 3]), 6: (pred, [3, 4]),
        }  # fmt: skip
        if n in without:
            where, labels = without[n]
            where[np.isin(where, labels)] = 0 if n != 4 else 1
        if n in (7, 8):  # absent from both maps
            truth[truth >= n - 5], pred[pred >= n - 5] = 0, 0
        if n == 9:  # not even background
            truth[:], pred[:] = 1, 1
        if n == 10:  # nothing but background
            truth[:], pred[:] = 0, 0
        if n == 11:
            truth[:], pred[:] = 2, 0
        if name == "gaps":
            truth[truth >= 4], pred[pred == 3], pred[pred == 5] = 0, 0, 0
        cases.append((truth, pred))
    return cases


# ---- The peers, called; and those that are not in the package index, from what they document
def monai(pairs: Pairs, classes: int) -> dict[str, Answer]:
    import torch
    from monai.metrics import ConfusionMatrixMetric, DiceMetric, MeanIoU

    truth, pred = (
        torch.stack([torch.nn.functional.one_hot(torch.tensor(m), classes).movedim(-1, 0).float() for m in maps])
        for maps in zip(*pairs, strict=True)
    )

    def ask(kind: Any, **options: Any) -> Answer:
        def reduced(reduction: str, background: bool = True) -> Any:
            metric = kind(include_background=background, reduction=reduction, **options)
            metric(pred, truth)
            found = metric.aggregate()
            return (found[0] if isinstance(found, list) else found).numpy().astype(float)

        means = reduced("mean").item(), reduced("mean", background=False).item()
        return answer(reduced("none"), reduced("mean_batch"), *means)

    rates = {
        "precision": "precision",
        "recall": "sensitivity",
        "specificity": "specificity",
        "negative_predictive_value": "negative predictive value",
        "false_positive_rate": "fall out",
        "false_negative_rate": "miss rate",
    }
    return {
        "dice": ask(DiceMetric),
        "iou": ask(MeanIoU),
        **{own: ask(ConfusionMatrixMetric, metric_name=name, compute_sample=True) for own, name in rates.items()},
    }


def torchmetrics(pairs: Pairs, classes: int) -> dict[str, Answer]:
    import torch
    from torchmetrics.functional.segmentation import dice_score, mean_iou
    from torchmetrics.segmentation import DiceScore, MeanIoU

    truth, pred = (torch.tensor(np.stack(maps)) for maps in zip(*pairs, strict=True))
    index: Any = {"num_classes": classes, "input_format": "index"}

    def run(metric: Any) -> Any:
        for n in range(len(truth)):
            metric.update(pred[n : n + 1], truth[n : n + 1])
        return metric.compute().numpy().astype(float)

    def absent(values: Any) -> Any:
        return np.where(values == -1, NAN, values)

    return {
        "dice": answer(
            dice_score(pred, truth, average="none", **index).numpy(),
            run(DiceScore(average="none", **index)),
            run(DiceScore(**index)).item(),
            run(DiceScore(include_background=False, **index)).item(),
        ),
        "iou": answer(
            absent(mean_iou(pred, truth, per_class=True, **index).numpy()),
            absent(run(MeanIoU(per_class=True, **index))),
            run(MeanIoU(**index)).item(),
            run(MeanIoU(include_background=False, **index)).item(),
        ),
    }


def sklearn(pairs: Pairs, classes: int) -> dict[str, Answer]:
    functions = {
        "dice": sk.f1_score,
        "iou": sk.jaccard_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
    }

    def ask(function: Any) -> Answer:
        def each(truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
            found = np.full(classes, NAN)
            found[np.union1d(truth, pred)] = function(truth, pred, average=None, zero_division=0)
            return found

        truth, pred = (np.concatenate([m.ravel() for m in maps]) for maps in zip(*pairs, strict=True))
        means = [
            function(truth, pred, average="macro", zero_division=0, labels=labels)
            for labels in (None, np.setdiff1d(np.union1d(truth, pred), [0]))
        ]
        return answer([each(t.ravel(), p.ravel()) for t, p in pairs], each(truth, pred), *means)

    return {name: ask(function) for name, function in functions.items()}


def nnunet(pairs: Pairs, classes: int, ignored: int | None = None) -> dict[str, Answer]:
    """Naive loops after the formulas of nnU-Net's `evaluate_predictions`."""
    found: dict[str, list[list[float]]] = {"dice": [], "iou": [], "support": []}
    for truth, pred in pairs:
        rows: dict[str, list[float]] = {name: [] for name in found}
        for label in range(classes):
            tp = fp = fn = 0
            for t, p in zip(truth.ravel().tolist(), pred.ravel().tolist(), strict=True):
                if t != ignored:
                    tp, fp, fn = tp + (t == label == p), fp + (t != label == p), fn + (p != label == t)
            rows["dice"].append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else NAN)
            rows["iou"].append(tp / (tp + fp + fn) if tp + fp + fn else NAN)
            rows["support"].append(tp + fn)
        for name, row in rows.items():
            found[name].append(row)
    answers = {}
    for name, values in found.items():
        means = [loop_mean([v for v in column if not math.isnan(v)]) for column in zip(*values, strict=True)]
        answers[name] = answer(values, means, loop_mean(means[1:]), None)
    return answers


def totalsegmentator(pairs: Pairs, classes: int) -> dict[str, Answer]:
    """Naive loops after the formulas of TotalSegmentator's `resources/evaluate.py`, which takes no mean over classes."""
    values = []
    for truth, pred in pairs:
        row = []
        for label in range(classes):
            here, there = truth == label, pred == label
            both = (here & there).sum()
            row.append(2 * both / (here.sum() + there.sum() + 1e-6) if here.any() else NAN)
        values.append(row)
    means = [loop_mean([v for v in column if not math.isnan(v)]) for column in zip(*values, strict=True)]
    return {"dice": answer(values, means, None, None)}


def loop_mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else NAN


def answer(values: Any, classes: Any, mean: float | None, other_mean: float | None) -> Answer:
    plain = [np.asarray(v, float) for v in (values, classes)]
    return {"values": plain[0], "classes": plain[1], "mean": mean, "other_mean": other_mean}


ASK: dict[str, Callable[[Pairs, int], dict[str, Answer]]] = {
    "monai": monai,
    "torchmetrics": torchmetrics,
    "sklearn": sklearn,
    "nnunet": nnunet,
    "totalsegmentator": totalsegmentator,
}
PACKAGES = {"monai": "monai", "torchmetrics": "torchmetrics", "sklearn": "scikit-learn"}


@cache
def remembered() -> dict[str, Any]:
    def numbers(value: Any) -> Any:
        return NAN if value == "nan" else [numbers(v) for v in value] if isinstance(value, list) else value

    found = json.loads(PEERS.read_text())
    for run in found["runs"].values():
        run["pairs"] = [tuple(np.array([*map(int, m)]).reshape(SHAPE) for m in pair) for pair in run["pairs"]]
        for answers in run["peers"].values():
            for metric, told in answers.items():
                answers[metric] = {name: numbers(value) for name, value in told.items()}
    return found


def regenerate() -> None:
    """Ask the installed peers, and write down what they say, with the cases (a digit a voxel)."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | list):
            return [plain(v) for v in value]
        return None if value is None else "nan" if math.isnan(value) else round(float(value), 15)

    runs = {}
    for name, classes in LABELS.items():
        pairs = draw(name)
        peers = {
            peer: {
                metric: {key: plain(value) for key, value in told.items()}
                for metric, told in ask(pairs, classes).items()
            }
            for peer, ask in ASK.items()
        }
        digits = [["".join(map(str, m.ravel().tolist())) for m in pair] for pair in pairs]
        runs[name] = {"classes": classes, "pairs": digits, "peers": peers}
    versions = {package: version(package) for package in PACKAGES.values()}
    PEERS.parent.mkdir(exist_ok=True)
    PEERS.write_text(json.dumps({"seed": SEED, "versions": versions, "runs": runs}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    regenerate()
