"""The kernels compile for GPUs that are not here, within the registers they were given; and are kept on disk."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastseg.kernels.cuda.compiler import Specialisation, compiled, sources
from fastseg.kernels.cuda.labels import distinct_kernel, histogram, weights_kernel
from fastseg.kernels.cuda.maps import Lying, Maps
from fastseg.kernels.cuda.masks import masks_kernel
from fastseg.kernels.cuda.scores import FOLD, SCORE_QUANTITIES, Scores, gradient_kernel, sums_kernel
from fastseg.kernels.protocols.device import Limits
from fastseg.kernels.protocols.scores import ScoreOptions

pytest.importorskip("cuda.bindings", reason="needs NVIDIA's compiler: pip install 'fastseg-metrics[cuda13]'")

SIZES = {
    "boolean": 1, "u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8, "half": 2, "bfloat16": 2,
    "float": 4, "double": 8,
}  # fmt: skip
PAIRS = [*((each, each) for each in SIZES), ("u8", "i64"), ("i64", "u8"), ("i64", "float"), ("u8", "boolean")]
BYTES, WORDS = ("u8", "u8"), ("i64", "i64")
USUAL, ALL = ("dice", "cross_entropy", "argmax"), tuple(SCORE_QUANTITIES)
CASES = [  # types, classes, whether there is a mask, steps: every pair in the common path, the other paths of some of them
    *((pair, 14, False, (1,), "sm_90") for pair in PAIRS),
    *(
        (pair, 150, False, (1,), each)
        for pair in (BYTES, WORDS, ("u64", "u64"))
        for each in ("sm_80", "sm_90", "sm_100")
    ),
    *(
        (pair, classes, True, steps, each)
        for pair in (BYTES, WORDS, ("i64", "float"))
        for classes, steps in ((256, (1,)), (14, (1,)), (14, (9, 2)))
        for each in ("sm_80", "sm_90", "sm_100")
    ),
]
LIMITS = Limits(132, 227 << 10)  # fmt: skip


def lying(kind: str, steps: tuple[int, ...] = (1,)) -> Lying:
    return Lying(1 << 20, kind, SIZES[kind], steps)


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "classes", "masked", "steps", "architecture"), CASES)
def test_registers_without_spills(
    pair: tuple[str, str], classes: int, masked: bool, steps: tuple[int, ...], architecture: str
) -> None:
    true, pred = pair
    maps = Maps(lying(true, steps), lying(pred, steps), lying("u8", steps) if masked else None, (99,) * len(steps))
    for what in (histogram(maps, classes, classes, LIMITS).what, masks_kernel(maps)):
        check_registers(what, compiled(what, architecture, keep=False).log)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("kind", ["i64", "float"])
def test_registers_of_weights_and_of_open_labels(kind: str, architecture: str) -> None:
    maps = Maps(lying(kind), lying(kind), lying("u8"), (99,), weight=lying("double"))
    for what in (weights_kernel(maps, "LARGEST"), weights_kernel(maps, "SUMS"), distinct_kernel(maps)):
        check_registers(what, compiled(what, architecture, keep=False).log)


WAYS = [  # classes, activation, soft, types of scores and truth, masked, steps, quantities
    (14, "softmax", False, "float", "u8", False, (1,), USUAL), (14, "softmax", False, "half", "u8", False, (9, 2), USUAL),
    (21, "softmax", False, "float", "u8", False, (21,), USUAL), (24, "softmax", False, "float", "u8", True, (9, 2), USUAL),
    (32, "softmax", False, "half", "i64", True, (1,), USUAL),
    (105, "softmax", False, "bfloat16", "u8", False, (1,), USUAL), (8, "softmax", True, "float", "float", True, (9, 2), ALL),
    (32, "softmax", True, "half", "half", True, (9, 2), ALL), (256, None, True, "float", "u8", False, (1,), ALL),
    (4, "softmax", False, "float", "u8", False, (1,), ("argmax",)),
    (1, "sigmoid", False, "float", "boolean", False, (1,), USUAL), (20, "sigmoid", True, "half", "float", True, (9, 2), ALL),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("way", WAYS)
def test_registers_of_scores_without_spills(way: tuple[Any, ...], architecture: str) -> None:
    channels, activation, soft, score, truth, masked, steps, quantities = way
    options = ScoreOptions(channels, activation, soft, frozenset(quantities))
    mask = lying("u8", steps) if masked else None
    sizes = (99,) * len(steps)
    between = {"channel_step": int(steps == (channels,))}  # classes side by side
    scores = Scores(lying(score, steps)._replace(**between), lying(truth, steps), mask, None, sizes, 2, options)
    written = replace(scores, out=lying("float" if score == "float" else "half", steps)._replace(**between))
    for what in (sums_kernel(scores, channels < 200), gradient_kernel(written), FOLD):
        check_registers(what, compiled(what, architecture, keep=False).log)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize(
    ("channels", "activation", "soft"), [(14, "softmax", False), (20, "sigmoid", True), (40, None, True)]
)
def test_registers_of_weights_and_focal_losses(
    channels: int, activation: str | None, soft: bool, architecture: str
) -> None:
    steps, quantities = ((1,), USUAL) if channels == 14 else ((9, 2), ALL)
    options = ScoreOptions(channels, activation, soft, frozenset({*quantities, "focal"}))
    arrays = [
        lying("u8" if channels == 40 else "float", steps),
        lying("float" if soft else "u8", steps),
        lying("u8", steps),
    ]
    scores = Scores(
        *arrays, None, (99,) * len(steps), 2, options, lying("double", steps), 255.0 if channels == 40 else None
    )
    for what in (sums_kernel(scores, True), gradient_kernel(replace(scores, out=lying("float", steps)))):
        check_registers(what, compiled(what, architecture, keep=False).log)


def check_registers(what: Specialisation, log: str) -> None:
    assert re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    assert not re.findall(r"[1-9]\d* bytes (spill|stack)", log), log  # no array in local memory either
    registers = max(map(int, re.findall(r"Used (\d+) registers", log)))
    macros: dict[str, Any] = dict(what.macros)
    assert registers * macros["THREADS"] * macros["BLOCKS"] <= 65536


def simple(value: str) -> Specialisation:
    found = histogram(Maps(lying("i16"), lying("i16"), None, (99,)), 14, 14, LIMITS).what
    return Specialisation("joint_histogram", tuple((dict(found.macros) | {"TRUTH": value}).items()))


def test_a_kernel_is_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_CUDA_CACHE", str(tmp_path / "kernels"))
    first = compiled(simple("u8"), "sm_90")
    (file,) = (tmp_path / "kernels").iterdir()
    assert compiled(simple("u8"), "sm_90") == (first.code, "")
    compiled(simple("u8"), "sm_80")
    compiled(simple("u16"), "sm_90")
    assert len([*file.parent.iterdir()]) == 3
    file.write_bytes(file.read_bytes()[:-1] + b"?")  # damaged: compiled again
    again = compiled(simple("u8"), "sm_90")
    assert (again.code, bool(again.log)) == (first.code, True)
    assert compiled(simple("u8"), "sm_90") == (first.code, "")


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTSEG_CUDA_CACHE", str(tmp_path / "file"))
    assert compiled(simple("u8"), "sm_90").code


def test_a_change_of_any_source_is_another_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSEG_CUDA_CACHE", str(tmp_path))
    compiled(simple("u8"), "sm_90")
    changed = {name: text + "\n// changed" if name == "common.cuh" else text for name, text in sources().items()}
    monkeypatch.setattr("fastseg.kernels.cuda.compiler.sources", lambda: changed)
    assert compiled(simple("u8"), "sm_90").log


def test_what_does_not_compile_is_shown() -> None:
    with pytest.raises(RuntimeError, match=r"joint_histogram does not compile for sm_90:\n.*nonsense"):
        compiled(simple("nonsense"), "sm_90", keep=False)
