"""Which tests are skipped where what they need is not there, and the profiles of Hypothesis."""

from __future__ import annotations

import gc
import os
import shutil
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import fastseg
from fastseg.adapters.hosts import HOSTS

pytest.register_assert_rewrite("support")  # so that asserts in there say what they found

# Programs that tests start take the same package, what tests share, and the kernels that others have compiled for it.
from support.drop_ins import host_is_there, let_torchvision_be_imported  # noqa: E402
from support.pages import BUILT  # noqa: E402

os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(Path(fastseg.__file__).parents[1]), str(Path(__file__).parent), os.environ.get("PYTHONPATH")))
)

# "ci" by default, "long" for a hundred thousand cases (HYPOTHESIS_PROFILE=long)
slow_is_fine = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("ci", max_examples=150, deadline=None, suppress_health_check=slow_is_fine, derandomize=True)
settings.register_profile("long", max_examples=25_000, deadline=None, suppress_health_check=slow_is_fine)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_collection_finish() -> None:
    """Spare what is there by now, which stays, and what Numba makes by the million: it would be a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked to need something that is not there; a test that needs it but is not marked fails."""
    if item.get_closest_marker("torch"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own import
            pytest.importorskip("torch", reason="needs PyTorch, which is too large for the extra: pip install torch")
        let_torchvision_be_imported()  # as hosts do, where it is installed
    for marker in item.iter_markers("host"):
        name = marker.args[0]
        if not host_is_there(name):
            pytest.skip(f"needs a host of drop-ins: pip install {HOSTS[name].distribution}")
    if item.get_closest_marker("gpu") and (missing := _no_gpu()):
        assert os.environ.get("FASTSEG_REQUIRE_GPU") != "1", missing
        pytest.skip(f"needs an NVIDIA GPU: {missing}")
    if item.get_closest_marker("browser") and _chromium() is None:
        pytest.skip("needs Chromium, which pip does not install")
    if item.get_closest_marker("site") and not (BUILT / "index.html").exists():
        pytest.skip("needs the site: python docs/serve.py --build")


def _no_gpu() -> str | None:
    """Return why there is no GPU to test on, None if there is one."""
    try:
        from fastseg.kernels.cuda.driver import driver

        driver()
    except RuntimeError as error:
        return str(error)
    return None


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser, of tests that are marked to need one."""
    found = _chromium()
    assert found is not None
    return found
