"""What the site is made with, besides Sphinx: each directive and role, and what it makes of the package."""

from __future__ import annotations

import importlib

import click
import pytest

pytest.importorskip("sphinx", reason='needs the site: pip install ".[docs]"')

from ext import adapter_modules, command_line, docstrings, mathml

from fastseg.adapters.hosts import HOSTS
from fastseg.cli import cli

pytestmark = pytest.mark.site


def test_bars_of_formulas_are_kept_and_those_of_code_left() -> None:
    lines = ["Σ |p − t| / n, |a|", "``|p|``", ">>> print('|a|')", "|a|", "", "a | b"]
    assert docstrings.keep_bars(lines) == ["Σ \\|p − t| / n, \\|a|", *lines[1:]]


@pytest.mark.filterwarnings("ignore")  # of the hosts
@pytest.mark.parametrize("host", [*HOSTS, "huggingface"])
def test_names_of_an_adapter_are_those_that_it_has(host: str) -> None:
    try:
        module = importlib.import_module(f"fastseg.adapters.{host}")
    except ImportError:
        assert adapter_modules.names_of(host)  # of what is not installed
    else:
        assert adapter_modules.names_of(host) == sorted(module.__all__)


def test_every_command_has_its_options_with_what_they_mean() -> None:
    text = "\n".join(command_line.described())
    for name, command in cli.commands.items():
        assert f"fastseg {name}\n-----" in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert max(parameter.opts, key=len) in text
                assert " ".join(str(parameter.help).split())[:60] in " ".join(text.replace("``", "").split())
    assert text.index("**Results**\n\n``-o, --output") < text.index("**Labels**\n\n``--labels")  # as the help has them
    assert "unless ``--labels`` names another" in text  # of two hyphens a page makes a dash
    assert "\nVolumes are NIfTI" in text  # a paragraph, not a quotation
    assert "``--fail-under GATE``\n   Exit with code 1 unless" in text


def test_formulas_are_mathml() -> None:
    found: list[str] = []

    class Translator:
        body = found

    from docutils import nodes

    for write, node in ((mathml.inline, nodes.math), (mathml.displayed, nodes.math_block)):
        with pytest.raises(nodes.SkipNode):
            write(Translator(), node("", r"\frac{2}{3}"))
    assert all("<mfrac>" in text for text in found)
    assert found[1].startswith('<div class="math">')
