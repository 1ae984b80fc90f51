"""Sphinx configuration. The site is built without a network."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

project = "fwpages"
author = "the fwpages authors"
release = _PROJECT["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"fwpages {release}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
