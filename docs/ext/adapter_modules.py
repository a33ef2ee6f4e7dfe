"""The directive `adapter-modules`: what each module of `fastseg.adapters` says and offers, read without importing its host."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import fastseg
from fastseg.adapters.hosts import HOSTS

ADAPTERS = Path(fastseg.__file__).parent / "adapters"


def module_of(host: str) -> ast.Module:
    """Return the module of a host, parsed."""
    single = ADAPTERS / f"{host}.py"
    return ast.parse((single if single.exists() else ADAPTERS / host / "__init__.py").read_text(encoding="utf-8"))


def names_of(host: str) -> list[str]:
    """Return the names that a host's module offers: those of its stub, where it has one, else of its `__all__`."""
    stub = ADAPTERS / host / "__init__.pyi"
    if stub.exists():
        body = ast.parse(stub.read_text(encoding="utf-8")).body
        imported = {
            each.asname for node in body if isinstance(node, ast.ImportFrom) for each in node.names if each.asname
        }
        defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        return sorted(name for name in imported | defined if not name.startswith("_"))
    for node in module_of(host).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(ast.literal_eval(node.value))
    raise ValueError(f"fastseg.adapters.{host} has no __all__")


class AdapterModules(SphinxDirective):
    """Write a section for each host: its module's docstring, then the names that it offers."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        lines: list[str] = []
        for host in sorted({*HOSTS, "huggingface"}):  # whose drop-ins need no host
            title = f"fastseg.adapters.{host}"
            text = (ast.get_docstring(module_of(host)) or "").replace(
                "Examples\n--------\n", ".. rubric:: Examples\n\n"
            )
            names = ", ".join(f"``{name}``" for name in names_of(host))
            lines += [title, "-" * len(title), "", f".. py:module:: {title}", "", *text.splitlines(), ""]
            lines += [f".. rubric:: Names\n\n{names}", ""]
        found = nodes.section()
        found.document = self.state.document
        self.state.nested_parse(
            StringList("\n".join(lines).splitlines(), source="adapter-modules"),
            self.content_offset,
            found,
            match_titles=True,
        )
        return found.children


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("adapter-modules", AdapterModules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
