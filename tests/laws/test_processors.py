"""Every processor counts alike, and adds up alike: the kernels as they are compiled for others, run or read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llvmlite import binding
from numba import njit

from fastseg.kernels.numba import label_counter
from fastseg.kernels.numba.labels import count_pairs
from fastseg.kernels.numba.switch import DISABLED

SOURCE = """
import hashlib, numpy as np, fastseg
def digest():
    found = hashlib.sha256()
    rng = np.random.default_rng(7)
    for dtype, classes in (("u1", 14), ("u1", 256), ("i8", 14), ("i8", 300)):
        t = np.repeat(rng.integers(0, classes, 400), 50).astype(dtype)
        for wrong in (0.01, 0.2, 1.0):
            p = t.copy()
            where = rng.random(t.size) < wrong
            p[where] = rng.integers(0, classes, where.sum())
            found.update(fastseg.count_labels(t, p, num_classes=classes).matrix.tobytes())
    t, logits = rng.integers(0, 5, 3000), rng.normal(0, 4, (5, 3000)).astype("f4")
    for scores in (logits, logits.astype("f2")):
        found.update(fastseg.sum_scores(t, scores, channel_axis=0, activation="softmax").to_bytes())
    masks = logits > 0
    found.update(fastseg.count_masks(masks, masks[::-1], channel_axis=0).to_bytes())
    return found.hexdigest()
"""
#: What a processor must have to run what is compiled for another.
NEEDS = {"haswell": "avx2", "x86-64-v2": "sse4_2"}

pytestmark = pytest.mark.skipif(DISABLED, reason="compares machine code")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc/cpuinfo")
@pytest.mark.parametrize("processor", NEEDS)
def test_other_processors_agree(processor: str, tmp_path: Path) -> None:
    """Counts are the same, and so is every bit of the sums of scores."""
    if NEEDS[processor] not in Path("/proc/cpuinfo").read_text().split():
        processor = "x86-64"  # which all have
    here: dict[str, Any] = {}
    exec(SOURCE, here)
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SOURCE + "print(digest())"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [here["digest"]()]


@pytest.mark.parametrize("processor", ["generic", "neoverse-n1", "apple-m1"])
def test_the_label_kernel_on_aarch64(processor: str) -> None:
    """Nothing of it is written for one processor, and there too it compares sixteen labels at a time."""
    byte = np.dtype("u1")
    (signature,) = label_counter._specialise(byte, byte, None, None).signatures
    compiled = njit(nogil=True, _nrt=False)(count_pairs.function)  # what is in the cache has no source any more
    compiled.compile(signature)
    source = compiled.overloads[signature].library.get_llvm_str()
    assert "llvm.x86" not in source
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple("aarch64-linux-gnu").create_target_machine(cpu=processor, opt=3)
    source = re.sub('target triple = ".*"', 'target triple = "aarch64-linux-gnu"', source)
    source = re.sub("target datalayout = .*", f'target datalayout = "{machine.target_data}"', source)
    assembly = machine.emit_assembly(binding.parse_assembly(source))
    assert (
        len(re.findall(r"cmeq\s+v\d+\.16b", assembly)) >= 16
    )  # four to a look at 64 labels of either map, at least twice
    assert "prfm" in assembly
