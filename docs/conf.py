"""The site: Sphinx with the theme and the docstrings' form of NumPy, pages in MyST; nothing is fetched when it is read."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]  # the package of this checkout, and the extensions in ext/

import fastseg  # noqa: E402

project = "fastseg"
author = "the fastseg developers"
copyright = "the fastseg developers, Apache-2.0"  # noqa: A001
version = release = fastseg.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "ext.mathml",
]
root_doc = "index"
exclude_patterns = ["build", "examples", "ext", "gallery", "**/GALLERY_HEADER.rst", "_templates"]
templates_path = ["_templates"]
nitpicky = True  # a link to a name that has no page is an error under -W

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3
# The anchors of a page are made from its headings; a link to one that is not there is an error.

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say types, shapes and units
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL01", "GL03", "GL07", "GL08", "PR02", "PR03", "SS01"}
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"plot_.*\.py",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "fastseg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"  # formulas as MathML: no script, and none to fetch
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
html_sidebars = {"index": [], "start": []}
