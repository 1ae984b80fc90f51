"""A page in a browser, with all that it asked for and complained of."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Opened:
    """A page that was opened from a file; ``close`` checks that it asked for nothing and complained of nothing."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(**{"viewport": {"width": 1300, "height": 900}, **options})
        self.path = path
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("console", lambda m: self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("dialog", lambda d: self.complaints.append(d.message))
        self.page.goto(path.as_uri())

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements that a reader sees."""
        return list(self.page.locator(selector).all_inner_texts())

    def ground(self) -> int:
        """The brightness of the page, from 0 to 765."""
        found: int = self.page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
        )
        return found

    def close(self) -> None:
        """Close the page."""
        self.page.close()
        assert (self.requests, self.complaints) == ([self.path.as_uri()], [])
