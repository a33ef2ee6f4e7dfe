"""The console script is installed with the core package, its libraries are not."""

from __future__ import annotations

import subprocess
import sys


def test_without_its_libraries_the_command_says_what_to_install() -> None:
    program = "import sys; sys.modules['click'] = None; import fastseg.cli"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stderr == 'fastseg: the command line needs: pip install "fastseg-metrics[cli]"\n'
    assert found.returncode == 1
