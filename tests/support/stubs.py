"""The stubs of the modules whose names come into being when they are asked for; run this file to write them anew.

With `--check` it says which are old, and writes nothing. They are made of what the package says of itself: the homes of
public names, and the registries of metrics and losses.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastseg
from fastseg.api import functions

PACKAGE = Path(fastseg.__file__).parent
_MADE = '"""Made by tests/support/stubs.py, which is run again where a test says so."""\n\n'


def _imported(home: str, names: Any) -> str:
    lines = "".join(f"    {name} as {name},\n" for name in sorted(names))
    return f"from {home} import (\n{lines})\n"


def _definition(name: str, function: Callable[..., Any]) -> str:
    parameters, starred = [], False
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not starred:
            parameters.append("*")
            starred = True
        kind = p.annotation if isinstance(p.annotation, str) else "Any"
        kind = kind.replace("registry.", "").replace("npt.NDArray[Any]", "Any")
        parameters.append(f"{p.name}: {kind}" + ("" if p.default is p.empty else " = ..."))
    returns = inspect.signature(function).return_annotation.replace("Floats", "npt.NDArray[np.float64]")
    return f"def {name}({', '.join(parameters)}) -> {returns}: ...\n"


def stubs() -> dict[Path, str]:
    """Return what each stub has to say."""
    init = _MADE + "from fastseg import adapters as adapters, losses as losses, metrics as metrics\n"
    init += "from fastseg._version import __version__ as __version__\n"
    init += _imported("fastseg.patch.patching", ["patch"])  # a module that is called: to type checkers, a function
    init += _imported("fastseg.api.functions", dir(functions))
    init += "".join(_imported(f"fastseg.{home}", names) for home, names in fastseg._HOMES.items())
    made = (
        _MADE + "from collections.abc import Mapping, Sequence\nfrom typing import Any, Literal\n\nimport numpy as np\n"
    )
    made += "import numpy.typing as npt\n\nfrom fastseg.metrics.arithmetic import Reduction\n"
    made += "from fastseg.metrics.pairs import AdjustedRandError, VariationOfInformation\n"
    made += "from fastseg.metrics.registry import Average\nfrom fastseg.metrics.scores import Binning, Per, ThresholdCurve\n"
    made += "from fastseg.metrics.surface_metric import SurfaceAverage\n"
    made += "from fastseg.metrics.surface_percentiles import Interpolation\n"
    made += "from fastseg.metrics.surfaces import Combine, Direction, Tolerance\n\n"
    made += "".join(_definition(name, getattr(functions, name)) for name in dir(functions))
    found = {"__init__.pyi": init, "api/functions.pyi": made}
    return {PACKAGE / name: text for name, text in found.items()}


def _formatted(text: str) -> str:
    """Return it as ruff has it; a line that is too long is an error there."""
    for command in (["check", "--select", "I", "--fix-only", "--quiet"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(PACKAGE / "stub.pyi"), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    made = {path: _formatted(text) for path, text in stubs().items()}
    old = [path for path, text in made.items() if path.read_text() != text]
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(f"{path}: expected to be current: run tests/support/stubs.py" for path in old) or 0)
    for path in old:
        path.write_text(made[path])
