"""torchmetrics' metrics and ours, logged by a model that Lightning trains: the same numbers at every step and epoch."""

from __future__ import annotations

import importlib
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from support.drop_ins import strictly

from fastseg.adapters import report

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]  # of what Lightning says of so small a run

CLASSES, EPOCHS, BATCHES = 4, 2, 3


@pytest.fixture
def lightning() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        found = pytest.importorskip("lightning", reason="needs a host of drop-ins: pip install lightning")
    for name in ("lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return found


def train(lightning: Any, metrics: Any, folder: Path) -> tuple[Any, list[dict[str, float]], list[int]]:
    """Train a small model with a module's metrics; return it, what each epoch logged, and voxels counted after each."""
    import torch

    class Model(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(1, CLASSES, 1)
            self.iou = metrics.MulticlassJaccardIndex(CLASSES)
            self.together = importlib.import_module("torchmetrics").MetricCollection(
                {
                    "f1": metrics.MulticlassF1Score(CLASSES, average=None),
                    "recall": metrics.MulticlassRecall(CLASSES, average=None),
                    "kappa": metrics.MulticlassCohenKappa(CLASSES),
                },
                prefix="val_",
            )

        def training_step(self, batch: Any, _: int) -> Any:
            logits = self.layer(batch[0])
            self.iou(logits, batch[1])
            self.log("train_iou", self.iou, on_step=True, on_epoch=True)
            return torch.nn.functional.cross_entropy(logits, batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.together.update(self.layer(batch[0]), batch[1])
            self.log("val_kappa_logged", self.together["kappa"], on_epoch=True)

        def on_validation_epoch_end(self) -> None:
            for name, values in self.together.compute().items():
                for label, value in enumerate(values.reshape(-1)):
                    self.log(f"{name}_{label}", value)
            counted.append(int(self.together["f1"].tp.sum() + self.together["f1"].fn.sum()))
            self.together.reset()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Log(lightning.Callback):  # type: ignore[misc]
        def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
            logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            logged.append({"step": float(trainer.callback_metrics["train_iou_step"])})

    logged: list[dict[str, float]] = []
    counted: list[int] = []
    torch.manual_seed(0)
    images, labels = torch.randn(2 * BATCHES, 1, 16, 16), torch.randint(0, CLASSES, (2 * BATCHES, 16, 16))
    data = torch.utils.data.TensorDataset(images + labels[:, None], labels)
    loaders = [torch.utils.data.DataLoader(data, batch_size=2) for _ in range(2)]
    model = Model()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        callbacks=[Log()],
        accelerator="cpu",
        default_root_dir=str(folder),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, *loaders)
    return model, logged, counted


def test_two_epochs(lightning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = importlib.import_module("fastseg.adapters.torchmetrics")
    _, wanted, voxels = train(lightning, importlib.import_module("torchmetrics.classification"), tmp_path)
    report(reset=True)
    with strictly(monkeypatch):
        model, found, own_voxels = train(lightning, ours, tmp_path)
    assert len(found) == EPOCHS * (BATCHES + 1)
    assert [list(each) for each in found] == [list(each) for each in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    # Of each epoch alone, since all were reset between.
    assert own_voxels == voxels == [2 * BATCHES * 16 * 16] * EPOCHS
    assert model.iou.update_count == 0
    assert len(model.together.compute_groups) == 1  # the three are counted once
    calls = report()
    assert calls["torchmetrics.MulticlassJaccardIndex"].fast >= EPOCHS * BATCHES
    assert calls["torchmetrics.MulticlassF1Score"].fast == EPOCHS * BATCHES
    for other in ("MulticlassRecall", "MulticlassCohenKappa"):
        assert calls[f"torchmetrics.{other}"].fast == 1  # before it was known that they share their counts
