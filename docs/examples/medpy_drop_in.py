"""MedPy's overlaps, counted by fastseg: one import is another."""

import numpy as np

from fastseg.adapters import report

# from medpy.metric.binary import dc, hd95, jc
from fastseg.adapters.medpy import dc, hd95, jc

rng = np.random.default_rng(0)
reference = np.zeros((160, 160, 160), bool)
reference[30:120, 40:110, 50:130] = True
prediction = np.roll(reference, 3, axis=0) ^ (rng.random(reference.shape) < 0.001)

print(f"Dice {dc(prediction, reference):.4f}, Jaccard {jc(prediction, reference):.4f}")
print(f"HD95 {hd95(prediction[::4, ::4, ::4], reference[::4, ::4, ::4]):.1f} (MedPy's own)")
print(report())
