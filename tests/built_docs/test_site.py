"""The site that ``make docs`` built: what its readers look for is there."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import fwpages
from fwpages.custody.findings import FindingName

SITE = Path(__file__).parents[2] / "build" / "docs"


def _page(name: str) -> str:
    return (SITE / name).read_text("utf-8")


def _inventory() -> set[str]:
    """The names that other sites can link to: four lines of text, then compressed ones."""
    rows = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {row.split(" ")[0] for row in zlib.decompress(rows).decode().splitlines()}


def test_every_finding_has_an_anchor_and_can_be_linked_to() -> None:
    anchors = set(re.findall(r'id="([^"]+)"', _page("reference/findings.html")))
    assert {name.value for name in FindingName} <= anchors
    assert {f"finding-{name.value}" for name in FindingName} <= _inventory()


def test_the_inventory_has_the_names_of_the_interface() -> None:
    assert {f"fwpages.{name}" for name in fwpages.__all__ if name != "machine"} <= _inventory()


def test_options_stand_with_the_hyphens_that_are_typed() -> None:
    for page in SITE.rglob("*.html"):
        assert "–json" not in page.read_text("utf-8"), page


def test_a_search_for_leak_finds_the_how_to_and_the_findings() -> None:
    raw = _page("searchindex.js")
    index: dict[str, Any] = json.loads(raw[raw.index("(") + 1 : raw.rindex(")")])
    found = [index[part].get("leak", []) for part in ("terms", "titleterms")]
    names = {index["docnames"][n] for pages in found for n in (pages if isinstance(pages, list) else [pages])}
    assert {"howto/memory-use", "reference/findings"} <= names


def test_the_site_needs_no_network() -> None:
    for page in SITE.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="([^"]+)"', page.read_text("utf-8"))
        assert not [link for link in loaded if link.startswith(("http:", "https:", "//"))], page
