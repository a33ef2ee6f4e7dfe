"""nnU-Net's evaluation of a folder, counted by fastseg: the same summary.json."""

import json
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from fastseg.adapters import report

# from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder_simple
from fastseg.adapters.nnunet import compute_metrics_on_folder_simple
from fastseg.phantom import phantom_pair

with tempfile.TemporaryDirectory() as folder:
    for case in range(3):
        for name, labels in zip(("labelsTs", "predicted"), phantom_pair((40, 48, 56), 4, seed=case), strict=True):
            Path(folder, name).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(labels.astype(np.uint8), np.eye(4))
            nibabel.save(image, Path(folder, name, f"case_{case}.nii.gz"))
    compute_metrics_on_folder_simple(f"{folder}/labelsTs", f"{folder}/predicted", labels=[1, 2, 3])
    summary = json.loads(Path(folder, "predicted", "summary.json").read_text())

print({label: round(means["Dice"], 4) for label, means in summary["mean"].items()})
print(report())
