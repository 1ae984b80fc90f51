from __future__ import annotations

import base64
import hashlib
import json
import re
import sys

import pytest

from fwpages.report.html_page import NotInstalledError, check_installed, embedded_json, markup, rendered


def test_without_the_library_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(NotInstalledError, match=re.escape("pip install 'fwpages[report]'")):
        rendered("fwpages.report", "page.html", {"title": "a page"})


def test_text_is_escaped_and_pictures_are_not() -> None:
    page = rendered("fwpages.report", "page.html", {"title": "<b> & co"})
    assert "<title>&lt;b&gt; &amp; co</title>" in page
    assert markup("<svg/>").__html__() == "<svg/>"  # type: ignore[attr-defined]  # markupsafe's


def test_json_cannot_end_its_element() -> None:
    data = json.dumps({"a": "</script><b>"}).encode()
    text = embedded_json(data)
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><b>"}


def test_a_page_asks_the_network_for_nothing() -> None:
    page = rendered("fwpages.report", "page.html", {"title": "a page"})
    assert re.search(r'http-equiv="Content-Security-Policy" content="default-src \'none\';', page)
    assert "script-src 'none';" in page
    assert not re.search(r"https?://|@import|url\(|\bsrc=", page)


def test_of_scripts_a_page_allows_its_own_alone() -> None:
    page = rendered("fwpages.explore.show", "page.html", {"title": "a page"}, script="stepping.js")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
