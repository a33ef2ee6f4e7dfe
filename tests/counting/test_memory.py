"""How much memory there is to take: what Linux says, and what a control group of either version leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastseg.counting.memory import available_memory

MEMINFO = "MemTotal:  16000 kB\nMemAvailable:   9000 kB\n"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ({}, 9000 * 1024),
        ({"memory.max": "max", "memory.current": "5", "memory.stat": ""}, 9000 * 1024),
        ({"memory.max": "1000", "memory.current": "800", "memory.stat": "anon 7\ninactive_file 50\n"}, 250),
        ({"memory.max": "1000", "memory.current": "2000", "memory.stat": ""}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "500",
                "memory/memory.usage_in_bytes": "100",
                "memory/memory.stat": "inactive_file 0\n",
            },
            400,
        ),
    ],
)
def test_the_least_of_both(tmp_path: Path, group: dict[str, str], expected: int) -> None:
    for name, text in {
        "proc/meminfo": MEMINFO,
        **{f"sys/fs/cgroup/{each}": said for each, said in group.items()},
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert available_memory(tmp_path) == expected


def test_where_nothing_is_known(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemAvailable: much\n")
    assert available_memory(tmp_path) is None
