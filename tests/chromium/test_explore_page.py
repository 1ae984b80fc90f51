"""Pages of ``explore`` and ``review`` in a real browser: they ask for nothing, complain of nothing, can be clicked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fwpages.cli import invoke
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import search
from fwpages.explore.show import stepping
from fwpages.explore.show.narrative import narrate
from tests.chromium.opened import Opened
from tests.explore.small_worlds import HEAD, SESSION, made, steps

WORLD = HEAD + steps(*SESSION) + '[expect]\nnever = ["late-return"]\n'


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a world in which a property breaks."""
    folder = tmp_path_factory.mktemp("explored")
    (folder / "odd.toml").write_text(WORLD, "utf-8")
    assert invoke(["explore", str(folder / "odd.toml"), "--html", str(folder / "page.html")]) == 1
    return folder / "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_as_light_or_dark_as_its_readers_screen_and_light_on_paper(
    browser: Any, explored: Path, scheme: str
) -> None:
    opened = Opened(browser, explored, color_scheme=scheme)
    assert (opened.ground() < 380) is (scheme == "dark")
    opened.page.emulate_media(media="print")
    assert opened.ground() == 765
    assert not opened.page.locator("#stepping").is_visible()
    opened.close()


#: makes every move of the path, or takes them back, and notes what the page shows after each
FORWARD = """() => {
  const out = [], next = () => document.querySelector("#moves .following");
  while (next()) {
    next().click();
    const table = [...document.querySelectorAll("#functions tbody tr")];
    const rows = table.map((row) => [...row.cells].map((cell) => cell.textContent));
    out.push({ drawn: document.querySelectorAll("#rows > svg").length, rows });
  }
  return out;
}"""
BACKWARD = """() => {
  const out = [], back = document.getElementById("back");
  while (!back.disabled) {
    out.push([...document.querySelectorAll("#pages .page span")].map((s) => s.textContent));
    back.click();
  }
  return out;
}"""


def test_one_goes_from_event_to_event_to_what_breaks_and_back(browser: Any, explored: Path) -> None:
    spec = made(WORLD)
    story = narrate(walk(spec, search(spec).broken["late-return"].path))
    opened = Opened(browser, explored)
    page = opened.page
    assert opened.texts("#moves button") == ["driver · the path above\nopen"]
    page.click("#moves button")
    shown = page.evaluate(FORWARD)
    assert [step["drawn"] for step in shown] == list(range(2, len(story) + 1))
    for step, made_of in zip(shown, story[1:], strict=True):
        held = {name: f"{firmware:,}" for name, (firmware, _) in made_of.pages.items()}
        assert {row[0]: row[1] for row in step["rows"]} == held
    numbers = page.eval_on_selector_all("#rows > svg", "all => all.map(s => s.querySelector('text').textContent)")
    assert numbers == [str(n) for n in range(1, len(story) + 1)]
    assert "broken here: late-return: pages of vf0 come back" in page.inner_text("#state")
    assert opened.texts("#moves button") == []
    page.click("#back")
    assert page.locator("#rows > svg").count() == len(story) - 1
    assert "broken" not in page.inner_text("#state")
    page.click("#restart")
    assert page.locator("#rows > svg").count() == 0
    page.click("#on")
    assert 30 < page.locator("#rows > svg").count() < len(story), "the start-up, in which there is no choice"
    page.click("#follow")
    assert page.locator("#rows > svg").count() == len(story)
    opened.close()


def test_pages_change_their_owners(browser: Any, explored: Path) -> None:
    opened = Opened(browser, explored)
    opened.page.click("#follow")
    seen = {words for step in opened.page.evaluate(BACKWARD) for words in step}
    assert seen == {"fw: –", "fw: self", "fw: vf0", "books: –", "books: self", "books: vf0"}
    opened.close()


def test_beyond_the_bound_a_page_says_so(
    browser: Any, explored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "MOST_STATES", 3)
    monkeypatch.setattr("fwpages.explore.show.page.MOST_STATES", 3)
    page = tmp_path / "page.html"
    assert invoke(["explore", str(explored.parent / "odd.toml"), "--html", str(page)]) == 1
    opened = Opened(browser, page)
    assert "more than the 3 states that fit in a page" in opened.page.inner_text("main")
    opened.page.click("#moves button")
    opened.page.click("#moves button")
    assert "leads out of this page" in opened.page.inner_text("#moves")
    opened.page.click("#moves button")
    assert "Make the world smaller" in opened.page.inner_text("#state")
    assert opened.texts("#moves button") == []
    opened.close()


def test_without_javascript_there_are_the_verdicts_and_the_charts(browser: Any, explored: Path) -> None:
    opened = Opened(browser, explored, java_script_enabled=False)
    words = opened.page.inner_text("main")
    assert "broken: late-return" in words
    assert "To choose needs JavaScript" in words
    assert opened.page.locator(".chart svg").count() == 1
    assert not opened.page.locator("#stepping").is_visible()
    opened.close()


def test_a_review_is_a_page_without_a_script(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    assert invoke(["review", "counts", "--design", "merged", "--format", "html", "-o", str(page)]) == 0
    opened = Opened(browser, page)
    opened.page.click("#verdicts a")
    assert opened.page.url.endswith("#counts")
    assert opened.page.locator("#counts").is_visible()
    assert opened.page.locator("script").count() == 0
    opened.close()
