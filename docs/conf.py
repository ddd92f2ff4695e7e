"""The documentation site: `make site` builds it into site/. docs/adr/0010 says why with Sphinx.

The source folder is the repository's root, so that README, CHANGELOG and the pages in docs/ are one tree and
their links mean the same here and where the repository is browsed.
"""

from __future__ import annotations

import importlib
import logging
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Beam's import logs which clouds' libraries are missing. Sphinx warns by logging too, so this ends here.
logging.disable(logging.WARNING)
importlib.import_module("skyhaul.beam")
logging.disable(logging.NOTSET)

project = "skyhaul"
author = "The skyhaul authors"
project_copyright = "2026, the skyhaul authors"
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [
    ".*",
    "site",
    "out",
    "tests",
    "examples",
    "benchmarks",
    "schemas",
    "connectors",
    "pipelines",
]
"""Also keeps Sphinx from walking through virtual environments and datasets."""

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 4
"""Headings are link targets under the names that GitHub gives them."""
myst_links_external_new_tab = False

default_role = "code"
"""Docstrings write code between single backticks."""
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
nitpicky = False

html_theme = "furo"
html_title = f"skyhaul {release}"
html_copy_source = False
html_show_sourcelink = False
# Furo and Sphinx bring every font, script and style along; tests/test_site.py holds the site to it.
html_static_path: list[str] = []
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]
