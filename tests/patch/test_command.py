"""``python -m fastseg.patch``: a script that knows nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn: pip install scikit-learn")

SCRIPT = """
import sys
from pathlib import Path
from sklearn.metrics import f1_score
import beside  # a module in the folder of the script

def main():
    print(sys.argv, __name__, Path(__file__).name, beside.number, sys.modules["__main__"].main is main)
    print(f1_score([0, 1, 1], [0, 0, 1]))

if __name__ == "__main__":
    main()
    import fastseg
    from fastseg.adapters import report
    print(fastseg.patch.status()["sklearn"].patched, report()["sklearn.f1_score"].fast)
    if "fail" in sys.argv:
        raise KeyError("of the script")
    sys.exit(3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "train.py").write_text(SCRIPT)
    (tmp_path / "scripts" / "beside.py").write_text("number = 12\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "train.py").write_text(SCRIPT.replace("import beside", "from package import beside"))
    (tmp_path / "package" / "beside.py").write_text("number = 13\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastseg.patch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_a_script(folder: Path) -> None:
    result = run(folder, "sklearn", "scripts/train.py", "--epochs", "3", "-m")
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "['scripts/train.py', '--epochs', '3', '-m'] __main__ train.py 12 True",
        "0.6666666666666666",
        "True 1",
    ]
    assert result.returncode == 3


def test_a_module(folder: Path) -> None:
    result = run(folder, "sklearn", "-m", "package.train", "--epochs", "3")
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        f"[{str(folder / 'package' / 'train.py')!r}, '--epochs', '3'] __main__ train.py 13 True",
        "0.6666666666666666",
        "True 1",
    ]
    assert result.returncode == 3


def test_an_error_of_the_script(folder: Path) -> None:
    result = run(folder, "sklearn", "scripts/train.py", "fail")
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("KeyError: 'of the script'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected hosts, and a script"),
        (["sklearn"], "expected hosts, and a script"),
        (["sklearn", "-m"], "expected hosts, and a script"),
        (
            ["sklern,torch", "scripts/train.py"],
            "'segmentation_models', 'sklearn', 'torchmetrics', found 'sklern', 'torch'",
        ),
        (["scripts/train.py", "x"], "found 'scripts/train.py'"),
        ([",", "scripts/train.py"], "found none"),
        (["sklearn", "scripts/tran.py"], "no such file: 'scripts/tran.py'"),
    ],
)
def test_what_is_refused(folder: Path, arguments: list[str], message: str) -> None:
    result = run(folder, *arguments)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert "usage" in result.stderr
    assert "Traceback" not in result.stderr


def test_help(folder: Path) -> None:
    result = run(folder, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: python -m fastseg.patch HOSTS")
    assert "sklearn" in result.stdout
