"""What is asked of NVIDIA's driver, through its real bindings, of a driver that is none: calls, and their arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.cuda import on_cpu

pytest.importorskip("cuda.bindings", reason="needs NVIDIA's compiler: pip install 'fastseg-metrics[cuda13]'")


@pytest.mark.slow
def test_calls_of_the_driver(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs g++, which pip does not install")
    folder = Path(on_cpu.__file__).parent
    fake, log = tmp_path / "libcuda.so.1", tmp_path / "log"
    source = str(folder / "fake_driver.c")
    flags = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    subprocess.run(["g++", "-x", "c", source, "-x", "none", *flags, "-o", str(fake), "-ldl"], check=True)
    log.touch()
    environment = {
        **os.environ, "LD_LIBRARY_PATH": str(tmp_path), "FAKE_DRIVER_LOG": str(log), "FAKE_DRIVER": str(fake),
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(folder.parents[2] / "benchmarks")]),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(folder / "with_fake_driver.py"), str(fake)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout
