"""What pages of other libraries show that is not written by hand: what is counted here, and how much sooner.

``{drop-ins} NAME`` is the table of the drop-ins of an adapter, ``{figures}`` that of figures of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from ext.drop_ins import DropIn, drop_ins
from ext.explanation import split_name
from ext.figures import read_run, table
from ext.metric_pages import EXPLAINED

__all__ = ["drop_in_table", "setup"]

_TASKS = ("binary", "multiclass", "multilabel")
_COUNTED = {"labels": "label maps", "masks": "masks", "scores": "probabilities or logits"}


def drop_in_table(host: str) -> str:
    """Return the drop-ins of a host as Markdown, a table a module; names of several tasks are one line."""
    modules: dict[str, dict[str, list[DropIn]]] = {}
    for row in drop_ins(host):
        if row.statistic != "none":
            module, family = _family(row)
            modules.setdefault(module, {}).setdefault(family, []).append(row)
    return "\n\n".join(_table_of(host, module, families.values()) for module, families in sorted(modules.items()))


def _table_of(host: str, module: str, families: Iterable[list[DropIn]]) -> str:
    lines = [f"| `{module}` | counted from | as fastseg's |", "| --- | --- | --- |"]
    for rows in sorted(families, key=lambda rows: rows[0].name.lower()):
        names = ", ".join(f"`{row.name}`" for row in sorted(rows, key=_order))
        ours = dict.fromkeys(name for row in rows for name in _ours(host, row))
        links = ", ".join(f"[{name}](../metrics/{name}.md)" for name in ours)
        lines.append(f"| {names} | {_COUNTED[rows[0].statistic]} | {links} |")
    return "\n".join(lines)


def _ours(host: str, row: DropIn) -> list[str]:
    """Return the metrics and losses of fastseg whose number a drop-in's is, perhaps with other options."""
    if row.metric is not None:
        return [row.metric]
    return [name for name, said in EXPLAINED.items() if split_name(said.peers.get(host, ""))[0] == row.path]


def handed_over(host: str) -> list[str]:
    """Return the names that an adapter has, but leaves to its host."""
    return [row.name for row in drop_ins(host) if row.statistic == "none"]


def _family(row: DropIn) -> tuple[str, str]:
    """Return the module of a name, and the name without a task."""
    module, _, name = row.path.rpartition(".")
    for task in _TASKS:
        for prefix in (f"{task}_", task.capitalize()):
            if name.startswith(prefix):
                return module, name.removeprefix(prefix)
    return module, name


def _order(row: DropIn) -> tuple[int, str]:
    lowered = row.name.lower()
    return next((k for k, task in enumerate(_TASKS) if lowered.startswith(task)), len(_TASKS)), row.name


class _Made(SphinxDirective):
    """A directive whose content is Markdown that is made."""

    def made(self) -> Iterable[str]:
        """Return its paragraphs."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = self.parse_text_to_nodes("\n\n".join(self.made()))
        return found


class DropIns(_Made):
    """The table of the drop-ins of an adapter, and what it leaves to its host by name."""

    required_arguments = 1

    def made(self) -> Iterable[str]:
        """Return a table, and a sentence."""
        host = self.arguments[0]
        yield drop_in_table(host)
        if names := handed_over(host):
            yield "There for one import to serve, and computed by the host: " + ", ".join(f"`{n}`" for n in names) + "."


class Figures(_Made):
    """Figures of the last run of the benchmarks, by patterns of groups and names."""

    option_spec: ClassVar[dict[str, Any]] = {"group": directives.unchanged, "names": directives.unchanged}

    def made(self) -> Iterable[str]:
        """Return a table, and where and when it was measured."""
        run = read_run()
        chosen = run.select(self.options.get("group", ""), self.options.get("names", ""))
        if not chosen:
            raise self.error(
                f"no figure of group {self.options.get('group')!r} and names {self.options.get('names')!r}"
            )
        for group in dict.fromkeys(each.group for each in chosen):
            yield f"**{group}**"
            yield table(each for each in chosen if each.group == group)
        yield f"{run.taken} [How figures are taken](../benchmarks/index.md)"


def setup(app: Any) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("drop-ins", DropIns)
    app.add_directive("figures", Figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
