"""The examples of drop-ins run, and what they are about goes fast."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from support.drop_ins import let_torchvision_be_imported

from fastseg.adapters import report
from fastseg.adapters.hosts import HOSTS

EXAMPLES = sorted(Path(__file__).parents[2].glob("docs/examples/*_drop_in.py"))
#: What the hosts need besides.
PYTORCH = {name: () if name in ("medpy", "sklearn") else (pytest.mark.torch,) for name in HOSTS}


def example(path: Path) -> pytest.param:
    host = path.stem.removesuffix("_drop_in")
    marks = [pytest.mark.host(host), *PYTORCH[host]] if host in HOSTS and host != "huggingface" else []  # not needed
    return pytest.param(path, marks=marks, id=host)


@pytest.mark.filterwarnings("ignore")  # of the hosts
@pytest.mark.parametrize("path", [example(path) for path in EXAMPLES])
def test_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "torch" in path.read_text():
        let_torchvision_be_imported()
    report(reset=True)  # of what other tests called
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed
    for line in re.findall(r"^[a-z_]+\.\w+ +\d+ +\d+", printed, re.MULTILINE):  # of the report
        name, fast, to_host = line.split()
        assert (int(fast) > 0, int(to_host)) == (True, 0), name
