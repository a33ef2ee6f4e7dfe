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
    "ext.adapter_modules",
    "ext.benchmark_plots",
    "ext.command_line",
    "ext.docstrings",
    "ext.host_pages",
    "ext.mathml",
    "ext.metric_pages",
]
root_doc = "index"
exclude_patterns = ["build", "examples", "ext", "gallery", "**/GALLERY_HEADER.rst", "_templates"]
templates_path = ["_templates"]
default_role = "py:known"  # single backticks in docstrings: a link to a name that has a page, else code
nitpicky = True  # any other link to what is not there is an error under -W
nitpick_ignore_regex = [("py:known", ".*")]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3
# The anchors of a page are made from its headings; a link to one that is not there is an error.

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say types, shapes and units
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL03", "GL07", "GL08", "SS01"}
numpydoc_validation_exclude = {  # data, whose comments say what they are
    r"\.REGISTRY$",
    r"\.[A-Z]+_METRICS$",
    r"Metric\.overall$",
}

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

language = "en"
html_theme = "pydata_sphinx_theme"
html_title = "fastseg"
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"  # formulas as MathML: no script, and none to fetch
html_theme_options = {
    "logo": {"image_light": "_static/icon.svg", "image_dark": "_static/icon.svg", "text": "fastseg"},
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
html_context = {"default_mode": "auto"}  # dark where the reader's system is
html_sidebars = {"index": [], "start": []}
