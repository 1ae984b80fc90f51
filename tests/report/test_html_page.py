from __future__ import annotations

import base64
import hashlib
import html
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
    assert re.search(r'http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;;', page)
    assert "script-src &#39;none&#39;;" in page
    assert not re.search(r"https?://|@import|url\(|\bsrc=", page)


def test_a_page_allows_its_own_style_and_scripts_alone() -> None:
    page = rendered(
        "fwpages.report", "page.html", {"title": "a page"}, styles=["p { color: red }"], scripts=["1;", "2;"]
    )

    def digests(tag: str) -> str:
        found = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        sums = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
        return " ".join(f"'sha256-{s}'" for s in sums)

    policy = html.unescape(page)
    assert f"style-src {digests('style')};" in policy
    assert f"script-src {digests('script')};" in policy


def test_characters_that_no_page_can_have_are_marked() -> None:
    page = rendered("fwpages.report", "page.html", {"title": "a\x1b[31m\x00\udc80b"})
    assert "<title>a�[31m��b</title>" in page
