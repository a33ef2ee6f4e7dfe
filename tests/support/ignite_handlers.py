"""A program that runs MONAI's handlers with its metrics and with ours, and fails if their results are not the same.

It is one of its own since ignite warns where it is imported, which MONAI does, and remembers whether it could.
"""

from __future__ import annotations

import os
from typing import Any

import monai.handlers.confusion_matrix
import monai.handlers.mean_dice
import monai.handlers.mean_iou
import numpy as np
from ignite.engine import Engine
from monai.handlers import ConfusionMatrix, MeanDice, MeanIoUHandler, from_engine
from support.tensors import masks

import fastseg.adapters.monai as ours
from fastseg.adapters import report


def run(batches: Any) -> dict[str, Any]:
    """Return the metrics of an engine that hands over what it is given."""
    engine = Engine(lambda engine, batch: [{"pred": p, "label": t} for p, t in zip(*batch, strict=True)])
    transform = from_engine(["pred", "label"])
    MeanDice(include_background=False, output_transform=transform).attach(engine, "dice")
    MeanIoUHandler(output_transform=transform).attach(engine, "iou")
    ConfusionMatrix(metric_name="f1 score", output_transform=transform).attach(engine, "f1")
    return dict(engine.run(batches).metrics)


def main() -> None:
    rng = np.random.default_rng(8)
    batches = [masks(rng, (2, 6, 5), 3) for _ in range(3)]
    wanted = run(batches)
    monai.handlers.mean_dice.DiceMetric = ours.DiceMetric
    monai.handlers.mean_iou.MeanIoU = ours.MeanIoU
    monai.handlers.confusion_matrix.ConfusionMatrixMetric = ours.ConfusionMatrixMetric
    os.environ["FASTSEG_ADAPTERS"] = "strict"
    found = run(batches)
    assert {f"monai.{name}" for name in ("DiceMetric", "MeanIoU", "ConfusionMatrixMetric")} <= report().keys()
    assert found.keys() == wanted.keys() == {"dice", "iou", "f1"}
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)
    print("the same")


if __name__ == "__main__":
    main()
