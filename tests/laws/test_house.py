"""The house: each folder imports only from those after it, as pyproject.toml says to import-linter; no file is long."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import fastseg

PACKAGE = Path(fastseg.__file__).parent
ROOT = Path(__file__).parents[2]


def lint(where: Path) -> subprocess.CompletedProcess[str]:
    """Lint the package in a folder by the project's rules."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(where), "PYTHONIOENCODING": "utf-8"},
    )


def copied(where: Path) -> Path:
    shutil.copytree(PACKAGE, where / "fastseg", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", where)
    return where / "fastseg"


def test_each_folder_imports_only_from_those_after_it(tmp_path: Path) -> None:
    copied(tmp_path)
    result = lint(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_forbidden_import_is_found(tmp_path: Path) -> None:
    package = copied(tmp_path)
    (package / "counts" / "knows_too_much.py").write_text("from fastseg.api import table\n")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "fastseg.counts is not allowed to import fastseg.api" in result.stdout


def test_what_benchmarks_import_is_there() -> None:
    """They are not run here, and some of what they compare with is not installed."""
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "fastseg":
                module = importlib.import_module(str(node.module))
                assert not [each.name for each in node.names if not _has(module, each.name)], path.name


def _has(module: ModuleType, name: str) -> bool:
    """Tell whether a name can be imported from a module: what it holds, or a module of its folder."""
    inside = hasattr(module, "__path__") and importlib.util.find_spec(f"{module.__name__}.{name}") is not None
    return hasattr(module, name) or inside


def test_no_leftover_of_an_editor() -> None:
    assert not [path for path in ROOT.glob("fastseg/**/*") if path.suffix in (".orig", ".rej", ".bak")]


def test_no_file_is_longer_than_400_lines() -> None:
    files = [path for folder in ("fastseg", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert Path(__file__) in files
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_the_top_of_the_package_can_be_seen_at_a_glance() -> None:
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 20
