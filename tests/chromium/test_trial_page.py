"""The page of a trial in a real browser: it asks for nothing, complains of nothing, and each row leads to its facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fwpages.trial.page import page
from fwpages.trial.report import trial_report
from fwpages.trial.standing import summary
from tests.chromium.opened import Opened
from tests.trial.values import campaign, of_each_kind


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a campaign with a row of each kind."""
    c = campaign(*of_each_kind())
    file = tmp_path_factory.mktemp("trial") / "page.html"
    file.write_text(page(trial_report(c, summary(c.rows))), "utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_trial_is_as_light_or_dark_as_the_screen(browser: Any, trial: Path, scheme: str) -> None:
    opened = Opened(browser, trial, color_scheme=scheme)
    assert (opened.ground() < 380) is (scheme == "dark")
    opened.close()


def test_each_row_leads_to_its_facts(browser: Any, trial: Path) -> None:
    opened = Opened(browser, trial)
    links = opened.page.locator("#rows tbody a")
    assert links.count() == 6
    for n in range(6):
        links.nth(n).click()
        assert opened.page.locator("h2:target").inner_text().startswith(f"{n + 1}. ")
    assert opened.texts("#rows tbody td:nth-child(5)")[:3] == ["no effect seen", "let go of held memory", "hung"]
    opened.close()


def test_a_narrow_screen_scrolls_the_table_and_not_the_page(browser: Any, trial: Path) -> None:
    opened = Opened(browser, trial, viewport={"width": 420, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 420
    opened.close()
