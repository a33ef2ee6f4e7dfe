"""Labels of two files matched by the names that both files give them, where nobody has said what the labels are."""

from __future__ import annotations

from collections.abc import Mapping

from fastseg.labels.choices import LabelChoices
from fastseg.labels.mapping import match_names
from fastseg.labels.names import shown
from fastseg.volumes.masks import names_of
from fastseg.volumes.paths import Path

__all__ = ["by_own_tables"]

#: Names that a note lists.
_SHOWN = 5


def by_own_tables(
    reference: Path, prediction: Path, chosen: LabelChoices, *, own: bool = False
) -> tuple[LabelChoices, str | None]:
    """Return what was said of labels, with those of a prediction standing for the reference's of the same name.

    Parameters
    ----------
    reference, prediction
        Label maps.
    chosen
        Unchanged where it says something of labels, or where the tables of both files agree, or one has none.
    own
        Whether names in it may be those of the reference's own table.

    Returns
    -------
    chosen, note
        The note says which value met which; None where nothing was changed.
    """
    if chosen.declared is not None or chosen.regions or chosen.map_prediction:
        return chosen, None
    ours = names_of(reference)
    if not ours or (chosen.names and not (own and chosen.names == ours)):
        return chosen, None
    theirs = names_of(prediction)
    if not _unlike(ours, theirs) or any(len(set(each.values())) < len(each) for each in (ours, theirs)):
        return chosen, None
    mapping = match_names(ours, theirs)
    names = {**{mapping.get(code, code): name for code, name in theirs.items()}, **ours}
    codes = {name: code for code, name in ours.items()}
    met = [f"{name} {codes[name]} and {code}" for code, name in theirs.items() if codes.get(name, code) != code]
    alone = [name for code, name in theirs.items() if name not in codes and code != 0]
    note = f"{prediction}: matched by the names of its own labels with those of {reference}: {_listed(met) or 'none moved'}"
    note += f"; only in the prediction: {_listed(alone)}" if alone else ""
    moved = {old: new for old, new in mapping.items() if old != new}
    return chosen._replace(names=names, map_prediction=moved), note


def _unlike(ours: Mapping[int, str], theirs: Mapping[int, str]) -> bool:
    """Tell whether two tables give a label two names, or a name two labels; 0 is the background, whatever its name."""
    codes = {name: code for code, name in ours.items()}
    return any(
        code != 0 and (ours.get(code, name) != name or codes.get(name, code) != code) for code, name in theirs.items()
    )


def _listed(names: list[str]) -> str:
    return ", ".join(map(shown, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
