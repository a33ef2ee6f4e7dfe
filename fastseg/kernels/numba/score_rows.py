"""What the score kernels and their callers agree on: rows of the sums, of what is known of a voxel, bits of what is wanted."""

from __future__ import annotations

import numpy as np

U = np.uint64

# What float32 may round an allowed probability to: a little more than RANGE_TOLERANCE, which the error message goes by.
LEAST, MOST = -1.0001e-3, 1.0010002
# Rows of the sums.
(
    TRUE_PRED,
    PRED,
    PRED_SQUARED,
    TRUE,
    TRUE_SQUARED,
    CROSS_ENTROPY,
    ABSOLUTE,
    BRIER,
    NEGATIVE_LOG,
    FOCAL,
    FOCAL_OTHERS,
    RANKS,
) = map(U, range(12))
SUM_ROWS = 12
# Rows of what is known of each voxel: 1 / Σ exp, -ln p of the true class, 1 - p of the most probable class, weight.
INVERSE, LOSS, REST, WEIGHT = map(U, range(4))
VOXEL_ROWS = 4
# Words of the state: bad voxels or values, looked at, losses of the tile at hand that `far_losses` sums.
BAD, SEEN, FAR = map(U, range(3))
STATE_WORDS = 3
# Logarithms of probabilities from here on are summed in float64 apart: float32 does not hold them, or (the second) not their
# products with weights of up to 1e30.
FAR_LOG, FAR_WEIGHTED = 3e38, 3e8
# Bits of what is wanted; Σ |p - t| and Σ (p - t)² come with DETAILS.
DICE, LOSSES, LABELS, DETAILS, LOGS, UNIT_SUM = map(U, (1, 2, 4, 8, 16, 32))
WANT_NEGATIVE_LOG, WANT_FOCAL, WANT_RANKS, WANT_BINS, LOG_LOSSES = map(U, (64, 128, 256, 512, 1024))
# Stages of `sum_tiles`, 0 where there is none: how a tile is copied; and what is done with it, for tiles that are read whole,
# where they lie if possible, and from OTHERS on once more for those that were gathered.
STAGE_FETCH, STAGE_GATHER, STAGE_FETCH_TRUTH, STAGE_GATHER_TRUTH = map(U, range(4))
STAGE_PROBABILITIES, STAGE_SUMS, STAGE_TRUTH, STAGE_FAR_LOSSES, STAGE_FAR_LOGS, STAGE_LOSSES, STAGE_DETAILS = map(
    U, range(4, 11)
)
OTHERS = U(7)
