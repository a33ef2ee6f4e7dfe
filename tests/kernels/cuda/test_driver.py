"""Without a GPU, its driver or the packages that call it, one sentence says what to do."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor

from fastseg import count_labels, count_masks, sum_scores
from fastseg.kernels.cuda import compiler, driver


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_driver", None)


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    true = Tensor(np.zeros(3, "u1"))
    with pytest.raises(RuntimeError, match=r"pip install 'fastseg-metrics\[cuda13\]' \(or \[cuda12\]"):
        count_labels(true, true, num_classes=2)
    with pytest.raises(RuntimeError, match=r"pip install 'fastseg-metrics\[cuda13\]' \(or \[cuda12\]"):
        compiler.compiled(compiler.Specialisation("joint_histogram", ()), "sm_90", keep=False)


def test_without_a_driver() -> None:
    pytest.importorskip("cuda.bindings", reason="needs NVIDIA's compiler: pip install 'fastseg-metrics[cuda13]'")
    try:
        driver.driver()
    except RuntimeError as error:
        assert str(error).startswith(
            "arrays on a GPU need NVIDIA's driver: install or update it, or pass arrays in the memory"
        )
    else:
        pytest.skip("there is a GPU, and its driver works")


def test_importing_the_backend_imports_nothing_of_nvidias() -> None:
    code = "import sys, fastseg.kernels.cuda as c; c.count_pairs; assert not any(m.startswith('cuda') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_waits_until_a_number_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Cpu()
    monkeypatch.setattr(driver, "_driver", cpu)
    true = np.array([[0, 1, 1], [1, 0, 1]], "u1")
    score = np.eye(2, dtype="f4")[true]
    found = [
        count_labels(Tensor(true), Tensor(true), num_classes=2),
        count_masks(Tensor(true), Tensor(true), channel_axis=None),
        sum_scores(Tensor(true), Tensor(score), activation="softmax"),
    ]
    assert cpu.launched
    assert cpu.waited == 0
    for number, each in enumerate(found):
        assert each.voxels.sum() == 6
        assert each.voxels.sum() == 6
        assert cpu.waited == number + 1
