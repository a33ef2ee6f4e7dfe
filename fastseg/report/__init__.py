"""The report of a run: one page of HTML that needs nothing else, neither a server nor the network.

`page` says what is on it, `template.html.j2` how; `plots` and `overlays` make its pictures, `svg` fits them in.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_report"]


def write_report(
    folder: str | os.PathLike[str],
    *,
    worst: int = 5,
    overlays: bool = True,
    images: str | os.PathLike[str] | None = None,
    fill: bool = False,
) -> Path:
    """Write ``report.html`` into the folder of a run.

    Parameters
    ----------
    folder : path
        Where a run was written to.
    worst : int
        How many of the worst cases are shown.
    overlays : bool
        Whether they are shown in pictures, for which the files are read again.
    images : path, optional
        A folder of what was segmented, named after the cases (nnU-Net's ``_0000`` is understood): it is drawn in grey under
        the classes of the pictures, where it lies as the reference does. Default: that which the run was given, if any.
    fill : bool
        Whether classes are filled over the images instead of outlined.

    Returns
    -------
    path : Path
        Of the report.

    Raises
    ------
    ImportError
        If Jinja2 or matplotlib is not installed.
    ValueError
        If `worst` is negative, or there are no images in the folder.
    """
    if worst < 0:
        raise ValueError(f"worst: expected a number of cases that is not negative, found {worst}")
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError('fastseg report needs: pip install "fastseg-metrics[report]"') from error

    from fastseg.report.images import Images
    from fastseg.report.page import render
    from fastseg.runs import atomic
    from fastseg.runs.outputs import stale_report
    from fastseg.runs.run import Run

    folder = Path(folder)
    run = Run.load(folder)
    path = folder / stale_report.PAGE
    # Names that are no Unicode, as file systems allow them, are shown by their escapes.
    digest = stale_report.run_digest(folder)
    if images is None and isinstance(given := run.facts.get("images"), str):
        there = Path(str(run.facts.get("working_folder", "")), given)
        images = there if there.is_dir() else given
    under = None if images is None else Images(images, fill)
    html = render(
        run,
        title=folder.resolve().name,
        worst=worst,
        overlays=overlays,
        digest=digest,
        under=under,
    )
    atomic.write_atomically(path, html.encode("utf-8", "backslashreplace"))
    return path
