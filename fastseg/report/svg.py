"""matplotlib's SVG, made fit for a page: no styles that a content security policy forbids, the page's colours, safe text."""

from __future__ import annotations

import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["GRID", "INK", "MUTED", "drawn", "html", "settings", "shortened", "shown", "width"]

#: Stand-ins for the colours of the page, which differ between light and dark.
INK, MUTED, GRID = "#000101", "#000102", "#000103"
_COLOURS = {INK: "currentColor", MUTED: "var(--muted)", GRID: "var(--line)"}

_HREF = "{http://www.w3.org/1999/xlink}href"
#: Embeddings, overrides and isolates of direction: they reach beyond the name that they are in.
_DIRECTION = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def shown(text: str) -> str:
    r"""Return a name with what cannot be seen or is no Unicode as escapes.

    Examples
    --------
    >>> shown("left\nlobe"), shown("Leber\u202e")
    ('left\\nlobe', 'Leber\\u202e')
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or ord(char) in _DIRECTION
        else char
        for char in text
    )


def html(text: str) -> Any:
    """Return HTML as text that the template leaves as it is."""
    from markupsafe import Markup

    return Markup(text)


def width(text: str) -> int:
    """Return about how many characters wide a text is: those of East Asian scripts and emoji count twice."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char) for char in text)


def shortened(text: str, most: int = 24) -> str:
    """Return a name as `shown`, cut in its middle to a width of `most`: names often differ at their ends.

    Examples
    --------
    >>> shortened("superior frontal gyrus, left", 16)
    'superior…s, left'
    """
    text = shown(text)
    if width(text) <= most:
        return text
    first, last = text[:most], text[-most:]
    while width(first) > most // 2:
        first = first[:-1]
    while width(last) > (most - 1) // 2:
        last = last[1:]
    return f"{first}…{last}"


@contextmanager
def settings() -> Iterator[None]:
    """Draw by our own settings, whatever the user's are; text stays text, and the same drawing has the same ids."""
    import matplotlib

    ours = {
        "axes.axisbelow": True, "axes.edgecolor": GRID, "axes.facecolor": "none", "axes.linewidth": 1,
        "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False, "axes.unicode_minus": True,
        "figure.facecolor": "none", "font.size": 12, "grid.color": GRID, "grid.linewidth": 1, "svg.fonttype": "none",
        "svg.hashsalt": "fastseg", "text.color": INK, "text.parse_math": False, "text.usetex": False,
        "xtick.color": MUTED, "xtick.major.size": 0, "xtick.major.width": 1, "ytick.color": INK, "ytick.major.size": 0,
    }  # fmt: skip
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(ours)
        yield


def drawn(figure: Any, key: str, label: str, names: Mapping[str, str] | None = None) -> Any:
    """Return a figure as an ``svg`` element that can stand in HTML (see `html`).

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn under `settings`.
    key : str
        Begins all ids, so that several drawings can be on one page.
    label : str
        Says in words what is drawn.
    names : dict of str to str
        Texts of the figure that stand for others. Names that people gave are put in here, after matplotlib, so that it
        neither reads them as formulae nor looks for their glyphs. Long ones are cut; pointing at them shows all.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    # matplotlib would name itself, with an address, and the date
    nameless = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(file, metadata=nameless)
    root = ET.fromstring(file.getvalue())
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", file.getvalue().decode()))
    for element in root.iter():
        for child in [*element]:
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                element.remove(child)
        _cleaned(element, key, used)
        name = (names or {}).get(element.text or "")
        if element.tag == "text" and name is not None:
            name = shown(name)
            element.text = shortened(name)
            if element.text != name:
                ET.SubElement(element, "title").text = name
    size = figure.get_size_inches() * 72
    root.attrib.update({"width": f"{size[0]:g}", "height": f"{size[1]:g}", "role": "img", "aria-label": shown(label)})
    root.attrib.pop("version", None)
    return html(ET.tostring(root, encoding="unicode"))


def _cleaned(element: ET.Element, key: str, used: set[str]) -> None:
    """Turn styles into attributes, colours into the page's; keep only the ids that are referred to, without namespaces."""
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if element.tag not in ("text", "title"):
        element.text = None
    found = dict(element.attrib)
    element.attrib.clear()
    for declaration in found.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        if name.strip() and name.strip() != "font-family":
            found[name.strip()] = value.strip()
    for name, value in found.items():
        if name == "id":
            if value in used:
                element.set("id", f"{key}-{value}")
            continue
        if name == _HREF:
            name, value = "href", re.sub(r"^#", f"#{key}-", re.sub(r"\s", "", value))
        value = value.replace("url(#", f"url(#{key}-")
        element.set(name, _COLOURS.get(value, " ".join(value.split())))
