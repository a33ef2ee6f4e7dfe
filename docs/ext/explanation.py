"""What a page of a metric or loss says that its entry in the registry does not: its formula typeset, how to read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["PACKAGES", "Explanation", "split_name", "typeset", "with_numbers"]

#: The packages that a page says the names of, as they are headed there.
PACKAGES = {
    "sklearn": "scikit-learn",
    "torchmetrics": "torchmetrics",
    "monai": "MONAI",
    "nnunet": "nnU-Net",
    "exacta": "exacta",
}

#: Of surfaces and centre lines, as they are for the truth: Q is the other one.
_SIDES = {
    "N": "|T|",
    "FAR": r"\max d(T \to Q)",
    "P95": r"d_{95}(T \to Q)",
    "NEAR": r"|\{d(T \to Q) \le \tau\}|",
    "LINE": "|L_T|",
    "IN": r"|L_T \cap Q|",
}
#: Words of a formula, typeset. With numbers, each of them is what it is in the example.
_SYMBOLS = {
    **{name: rf"\mathrm{{{name}}}" for name in ("TP", "FP", "FN", "TN")},
    "VOXELS": "V",
    "VOXEL_PAIRS": "N",
    "JOINED_BOTH": "A",
    "JOINED_T": "T",
    "JOINED_P": "S",
    "H_T": "H(T)",
    "H_P": "H(P)",
    "H_TP": r"H(T \mid P)",
    "H_PT": r"H(P \mid T)",
    "HOMOGENEITY": "h",
    "COMPLETENESS": "c",
    **{
        f"{word}_{side}": text.replace("T", side).replace("Q", "PT"["TP".index(side)])
        for side in "TP"
        for word, text in _SIDES.items()
    },
    "SUM_DT": r"\sum d(T \to P)",
    "SUM_DP": r"\sum d(P \to T)",
    "SUM_PT": r"\sum p \, t",
    "SUM_P": r"\sum p",
    "SUM_T": r"\sum t",
    "SUM_PP": r"\sum p^2",
    "SUM_TT": r"\sum t^2",
    "SUM_TERMS": r"\sum \ell",
    "EPSILON": r"\varepsilon",
    "ALPHA": r"\alpha",
    "BETA": r"\beta",
    "GAMMA": r"\gamma",
}
_WORD = re.compile(r"(?<![A-Za-z_\\])(" + "|".join(sorted(_SYMBOLS, key=len, reverse=True)) + r")(?![A-Za-z])")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a page says besides the registry.

    Formulas are LaTeX, but for the words of `_SYMBOLS`.
    """

    formula: str
    reading: str
    """How to read the number, and where it misleads: a few sentences of Markdown."""
    worked: str | None = None
    """The formula of one class or of two, which the example puts numbers into; None: `formula`."""
    better: Literal["higher", "lower"] | None = None
    """Which values are better, where the registry does not say."""
    term: Literal["overlap", "entropy", "focal", "brier", "right", "confidence"] | None = None
    """Of functions of scores: what the picture shows of each pixel, ℓ in the formula."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the example is called with."""
    peers: Mapping[str, str] = field(default_factory=dict)
    """The name of the same number in `PACKAGES`, where no drop-in knows it: a path that can be imported, then words."""


def typeset(formula: str) -> str:
    r"""Return a formula as LaTeX.

    Examples
    --------
    >>> print(typeset("TP + FP"))
    \mathrm{TP} + \mathrm{FP}
    """
    return _WORD.sub(lambda word: _SYMBOLS[word[1]], formula)


def with_numbers(formula: str, numbers: Mapping[str, str]) -> str:
    """Return a formula as LaTeX, with numbers in place of its words; KeyError where one has none.

    Examples
    --------
    >>> print(with_numbers("TP + FP", {"TP": "5", "FP": "2"}))
    5 + 2
    """
    return _WORD.sub(lambda word: numbers[word[1]], formula)


def split_name(said: str) -> tuple[str, str]:
    """Return the path that a name in another package begins with, and the words after it; no path of what is no import.

    Examples
    --------
    >>> split_name("monai.losses.DiceLoss with `jaccard=True`")
    ('monai.losses.DiceLoss', ' with `jaccard=True`')
    >>> split_name("`IoU` in summary.json")
    ('', '`IoU` in summary.json')
    """
    found = re.match(r"(?:sklearn|torchmetrics|monai|exacta)(?:\.\w+)+", said)
    return (found[0], said[found.end() :]) if found else ("", said)
