"""Which of other libraries' names fastseg has drop-ins for, as a table that needs none of them installed.

``python docs/ext/drop_ins.py`` makes drop_ins.json of the adapters whose hosts are installed, and keeps the lines of others;
a test compares it with the adapters.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["FILE", "DropIn", "drop_ins", "found", "same_number"]

FILE = Path(__file__).with_name("drop_ins.json")
#: Names that stand for a task which a page of a metric does not speak of, or for any task.
_OTHER_TASKS = ("binary_", "multilabel_")


class DropIn(NamedTuple):
    """A row of the adapters' table."""

    path: str
    """Where the host has it."""
    statistic: str
    """What is counted: labels, masks, scores; "none" where the host does the work."""
    metric: str | None
    """The metric of fastseg's registry that it is, where it is one."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.rpartition(".")[2]


def drop_ins(host: str) -> list[DropIn]:
    """Return the drop-ins of a host, by the name of its adapter."""
    return [DropIn(*row) for row in json.loads(FILE.read_text(encoding="utf-8")).get(host, [])]


def same_number(metric: str, host: str) -> list[str]:
    """Return where a host has a metric: its functions, of several tasks that of many classes."""
    functions = [row.path for row in drop_ins(host) if row.metric == metric and row.name[0].islower()]
    of_tasks = [path for path in functions if path.rpartition(".")[2].startswith("multiclass_")]
    if not of_tasks:
        return functions
    bare = {path.replace(".multiclass_", ".") for path in of_tasks}
    return [path for path in functions if path not in bare and not path.rpartition(".")[2].startswith(_OTHER_TASKS)]


def found(hosts: Iterable[str]) -> dict[str, list[DropIn]]:
    """Return the rows of the adapters of hosts, which must be installed."""
    from fastseg.adapters.calls import ROWS

    for host in hosts:
        importlib.import_module(f"fastseg.adapters.{host}")
    rows: dict[str, list[DropIn]] = {}
    for row in ROWS.values():
        rows.setdefault(row.host, []).append(DropIn(row.path, row.statistic, row.metric))
    return {host: sorted(rows[host]) for host in hosts if host in rows}  # that of evaluate has names of its own


def write() -> None:
    """Make the table again, as far as hosts are installed."""
    from fastseg.adapters.hosts import HOSTS

    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for host in HOSTS:
        try:
            kept.update(found([host]))
        except ImportError as error:
            print(f"kept as it was: {error}")
    lines = [
        f" {json.dumps(host)}: [\n" + ",\n".join(f"  {json.dumps(row)}" for row in kept[host]) + "\n ]"
        for host in sorted(kept)
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
