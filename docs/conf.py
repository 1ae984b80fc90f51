"""Sphinx configuration. The site is built without a network."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

project = "fwpages"
author = "the fwpages authors"
release = _PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# an option is typed with two hyphens: no quotes, dashes or dots are made of what stands there
smartquotes = False
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
maximum_signature_line_length = 90
# a prompt is not copied, and what a command printed neither
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = f"fwpages {release}"
html_static_path = ["_static"]
html_css_files = ["fwpages.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False

#: pages whose tables list names: the row of a name can be linked to
_TABLES = {"reference/findings": "finding", "reference/faults": "fault"}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def _anchors(app: Sphinx, tree: nodes.document) -> None:
    """Give the first row of each name an anchor, and the inventory an entry: `findings.html#pages-left`."""
    docname = app.env.docname
    kind = _TABLES.get(docname)
    if kind is None:
        return
    known = set(tree.ids)
    for row in tree.findall(nodes.row):
        first = next(iter(row.findall(nodes.literal)), None)
        if first is None or not _NAME.fullmatch(name := first.astext()) or name in known:
            continue
        known.add(name)
        row["ids"].append(name)
        std = app.env.get_domain("std")
        std.labels[f"{kind}-{name}"] = (docname, name, name)  # type: ignore[attr-defined]  # of the standard domain
        std.anonlabels[f"{kind}-{name}"] = (docname, name)  # type: ignore[attr-defined]


def setup(app: Sphinx) -> None:
    """Register the anchors."""
    app.connect("doctree-read", _anchors)
