from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import msgspec

from fwpages.explore.check.random_walks import random_walks
from fwpages.explore.check.search import search
from fwpages.explore.show.page import exploration_page, replay_page
from fwpages.explore.show.paths import replayed_path
from fwpages.explore.show.report import replayed, searched, walked
from tests.explore.show.test_stepping import broken_world
from tests.explore.small_worlds import found, path_to, small

_VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A page, parsed strictly: each element is closed in its turn, each id is there once, each link leads to an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.inside: list[str] = []
        self.charts = 0
        self.feed(text)
        assert self.open == []
        assert len(self.ids) == len({*self.ids})
        assert {link.removeprefix("#") for link in self.links} <= {*self.ids}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in _VOID:
            self.open.append(tag)
        if named.get("id"):
            self.ids.append(named["id"] or "")
        if tag == "a":
            assert (named["href"] or "").startswith("#"), "nothing leads out of a page"
            self.links.append(named["href"] or "")
        self.charts += tag == "svg" and "template" not in self.open and "height" in named

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script", "template"} & {*self.open}:
            self.inside.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.inside).split())


def test_a_page_of_what_is_broken() -> None:
    outcome = search(broken_world())
    report = searched(outcome)
    text = exploration_page(report, outcome, "fwpages explore odd.toml")
    page = Page(text)
    (row,) = [p for p in report.properties if p.verdict == "broken"]
    assert "broken: late-return" in page.words
    assert f"fwpages explore odd.toml --replay {row.replay}" in page.words
    assert "✗ broken here: late-return: pages of vf0 come back" in page.words
    assert page.charts == 2, "the counterexample, and the head of the one that grows"
    assert "To the broken step" in page.words
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|\bsrc=", text)
    (data,) = re.findall(r'<script type="application/json" id="world">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)["sound"] == outcome.states


def test_a_page_where_all_holds_has_the_way_to_the_farthest_point() -> None:
    outcome = found("session")
    page = Page(exploration_page(searched(outcome), outcome, "fwpages explore session"))
    assert "holds, within these bounds and assumptions" in page.words
    assert "nothing is broken; the path to closed, the farthest of its points" in page.words
    assert "broken here" not in page.words
    assert f"All {outcome.states:,} states of this world are in this page" in page.words
    assert "Along the path above" in page.words


def test_a_page_of_walks_never_says_that_something_holds() -> None:
    walks = random_walks(small("left"), 3, 0)
    page = Page(exploration_page(walked(walks), walks, "fwpages explore left"))
    assert "which proves nothing" in page.words
    assert "not broken so far" in page.words
    assert "holds, within" not in page.words


def test_a_page_of_a_replay() -> None:
    spec, path = small("session"), path_to("session", "given")
    report = replayed(spec, path)
    page = Page(replay_page(report, replayed_path(spec, path, report)))
    assert f"session, driven by fwpages: {len(path)} steps" in page.words
    assert "nothing is broken at the end" in page.words


def test_a_name_is_no_markup() -> None:
    spec = small("left")
    outcome = search(spec)
    report = searched(outcome)
    odd = "<img src=x>&.toml"
    page = exploration_page(msgspec.structs.replace(report, world=odd), outcome, f"fwpages explore '{odd}'")
    assert "<img" not in page
    assert "&lt;img src=x&gt;&amp;.toml" in page
