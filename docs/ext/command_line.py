"""The directive `command-line`: every command of the program with its arguments and options, as the program knows them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from fastseg.cli import cli
from fastseg.cli.evaluate_options import InGroups


def described() -> Iterator[str]:
    """Yield the lines of the page, in reStructuredText: a section for each command."""
    for name, command in cli.commands.items():
        title = f"fastseg {name}"
        context = click.Context(command, info_name=title)
        usage = " ".join(["fastseg", name, *command.collect_usage_pieces(context)])
        yield from (title, "-" * len(title), "", ".. code-block:: text", "", f"   {usage}", "")
        yield from _literal(inspect.cleandoc(command.help or "")).splitlines()
        yield ""
        for heading, records in _by_heading(command, context).items():
            yield from (f"**{heading}**", "") if heading else ()
            for options, text in records:
                yield from (f"``{options}``", f"   {_literal(text)}", "")


def _literal(text: str) -> str:
    """Return a text whose options, and what is quoted as code, are literals; of two hyphens a page makes a dash."""
    return re.sub(r"`[^`]+`|(?<![\w-])--[a-z][a-z-]*", lambda found: f"``{found[0].strip('`')}``", text)


def _by_heading(command: click.Command, context: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Return what is said of each option, below the headings that the help of a command has, if any."""
    if isinstance(command, InGroups):
        return command.by_heading(context)
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    return {"": [record for record in records if record is not None]}


class CommandLine(SphinxDirective):
    """Write what `described` says."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        found = nodes.section()
        found.document = self.state.document
        lines = StringList([*described()], source="fastseg --help")
        self.state.nested_parse(lines, self.content_offset, found, match_titles=True)
        return found.children


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
