"""Runs to report, and pages taken apart."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np

import fastseg
from fastseg.phantom import phantom_pair
from fastseg.report import page
from fastseg.runs import CaseRecord, Run, Settings

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'


def scored(id: str, true: Any, pred: Any, **values: Any) -> CaseRecord:
    counts = fastseg.count_labels(np.asarray(true), np.asarray(pred))
    values = {
        "status": "scored",
        "reference": "gone.nii.gz",
        "prediction": "gone too.nii.gz",
        "geometry": "equal",
    } | values
    return CaseRecord.with_counts(counts, id=id, shape=np.shape(true), **values)


def phantom(id: str, seed: int, classes: int = 4, **values: Any) -> CaseRecord:
    return scored(id, *phantom_pair((16, 16, 16), classes, foreground=0.3, seed=seed), **values)


def run_of(*records: CaseRecord, facts: Any = None, **settings: Any) -> Run:
    chosen = Settings(**{"resamples": 50, "metrics": ("dice",), **settings})
    return Run(chosen, tuple(sorted(records, key=lambda record: record.id)), facts or {})


def failed(id: str, reason: str = "truncated") -> CaseRecord:
    return CaseRecord(id, "failed", "r.nii", "p.nii", reason=reason)


def missed(id: str) -> CaseRecord:
    """Return the record of a case without a prediction, taken as the worst."""
    unknown = np.array([[0, 50], [1, 14]])
    return CaseRecord(id, "missing", "r.nii", None, unknown=unknown, voxels=(0, 0, 0, 64))


class Page(HTMLParser):
    """What is on a page: elements with their attributes, and the text outside of scripts and styles."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        ids = [found["id"] for _, found in self.elements if "id" in found]
        assert len(set(ids)) == len(ids), "an id occurs twice"
        targets = [found["href"] for _, found in self.elements if (found.get("href") or "").startswith("#")]
        assert {str(target)[1:] for target in targets} <= set(ids), "a link leads nowhere"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def checked(run: Run, **options: Any) -> Page:
    """Render a run; whatever it is, the page stands alone."""
    html = page.render(run, title="run", **options)
    found = Page(html)
    assert "://" not in html
    assert found.count("script") == found.count("style") == 1
    for tag, attributes in found.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,")) or (tag, value) == ("link", "data:,")
    return found


def of_arrays(arrays: dict[str, Any], true: Any, pred: Any, id: str = "case", **values: Any) -> CaseRecord:
    arrays[f"{id} r"], arrays[f"{id} p"] = true, pred
    return scored(id, true, pred, reference=f"{id} r", prediction=f"{id} p", **values)
