"""Two small cases on which packages differ, and what each of them said of them (data/instance_peers.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PEERS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "instance_peers.json").read_text("utf-8")
)

Map = np.ndarray[Any, Any]


def lesions() -> tuple[Map, Map]:
    """Return masks of lesions: a truth and a prediction."""
    t = np.zeros((16, 24, 24), np.uint8)
    p = t.copy()
    t[2:8, 2:8, 2:8], p[3:8, 2:8, 2:8] = 1, 1  # a good one
    t[2:8, 12:20, 2:6], p[2:8, 12:15, 2:6], p[2:8, 17:20, 2:6] = 1, 1, 1  # one, predicted in two parts
    t[12:14, 2:4, 2:4] = 1  # a small one, missed
    p[12:15, 18:21, 18:21] = 1  # invented
    t[2:4, 12:14, 14:16], t[4:6, 14:16, 16:18] = 1, 1  # two that touch at a corner
    p[2:4, 12:14, 14:16] = 1  # of which the first is found
    t[10:12, 10:12, 10:12], t[10:12, 10:12, 13:15] = 1, 1  # two with a voxel between them
    p[10:12, 10:12, 10:15] = 1  # one prediction over both
    return t, p


def cells() -> tuple[Map, Map, dict[int, int], dict[int, int]]:
    """Return maps of ids, and the class of each id: a truth and a prediction. Classes 1 and 2 are things, 3 is stuff."""
    t = np.zeros((20, 20), np.int64)
    p = t.copy()
    t[0:4, 0:6], p[0:4, 0:4] = 1, 1  # IoU 16/24
    t[0:4, 8:12], p[0:4, 8:10] = 2, 2  # IoU 8/16
    t[6:10, 0:6], p[6:10, 0:3], p[6:10, 3:6] = 3, 3, 4  # in halves
    t[6:10, 8:12], t[6:10, 12:16], p[6:10, 8:15] = 4, 5, 5  # two as one: 16/28 and 12/32
    t[12:15, 0:9], t[15:18, 0:9], p[12:17, 0:9], p[17:20, 0:9] = 6, 7, 6, 7  # moved by less than their height
    p[12:16, 14:18] = 8  # invented
    t[18:20, 14:18] = 8  # missed
    return t, p, {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 2, 8: 3}, {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2, 7: 2, 8: 1}
