"""Makes the pictures of HTML pages in ``docs/images``: ``make chromium``, then ``python docs/make_page_pictures.py``.

Each is one SVG of two screenshots: the one for light grounds, and the one for dark ones. They are WebP, which has a
fifth of the bytes of PNG.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from fwpages.cli import invoke

ROOT = Path(__file__).parents[1]
CHROMIUM = ROOT / "build" / "chromium" / "chromium"
#: pixels of a picture to one of the page, and the quality of WebP at which text has no visible fringes
DENSITY, QUALITY = 1.25, 75


@dataclass(frozen=True)
class Picture:
    """A page that a command line writes, and the part of it that is shown: wide enough to be read in the README."""

    name: str
    prepare: Callable[[], None]
    line: list[str]
    show: Callable[[Page], None]
    width: int
    height: int


def cut_log() -> None:
    """The recorded log of an unmodified Linux, of which the end was lost, within a dump of a TAKE's answer."""
    log = ROOT / "tests" / "golden" / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"
    Path("kern.log").write_bytes(b"".join(gzip.decompress(log.read_bytes()).splitlines(keepends=True)[:5000]))


def world_of_the_how_to() -> None:
    """The world of the how-to."""
    how_to = (ROOT / "docs" / "howto" / "explore.md").read_text("utf-8")
    (world,) = re.findall(r"^```toml\n(# disable\.toml\n.*?)^```", how_to, re.DOTALL | re.MULTILINE)
    Path("disable.toml").write_text(world, "utf-8")


def before_the_broken_step(page: Page) -> None:
    """Go to one step before the broken one."""
    page.click("#follow")
    page.click("#back")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollBy(0, document.querySelector('.grown').getBoundingClientRect().bottom - innerHeight + 8)")


def charts_drawn(page: Page) -> None:
    """Wait for the chart that is in sight."""
    page.wait_for_selector(".chart.live")


PICTURES = (
    Picture("report", cut_log, ["report", "kern.log", "-o", "page.html"], charts_drawn, 940, 1160),
    Picture(
        "explore-page",
        world_of_the_how_to,
        ["explore", "disable.toml", "--design", "posted", "--html", "page.html"],
        before_the_broken_step,
        1200,
        620,
    ),
)


def screenshot(browser: Browser, picture: Picture, scheme: Literal["light", "dark"]) -> str:
    """The picture for light or dark grounds, as WebP in base64."""
    size = ViewportSize(width=picture.width, height=picture.height)
    context = browser.new_context(color_scheme=scheme, viewport=size, device_scale_factor=DENSITY)
    page = context.new_page()
    page.goto(Path("page.html").resolve().as_uri())
    picture.show(page)
    options = {"format": "webp", "quality": QUALITY}
    return str(context.new_cdp_session(page).send("Page.captureScreenshot", options)["data"])


def for_both_grounds(picture: Picture, light: str, dark: str) -> str:
    """One picture of two."""
    size = f'width="{picture.width}" height="{picture.height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {picture.width} {picture.height}">\n'
        "<style>.dark { display: none }\n"
        "@media (prefers-color-scheme: dark) { .light { display: none } .dark { display: inline } }</style>\n"
        f'<image class="light" {size} href="data:image/webp;base64,{light}"/>\n'
        f'<image class="dark" {size} href="data:image/webp;base64,{dark}"/>\n'
        "</svg>\n"
    )


def main() -> None:
    """Write every picture."""
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for picture in PICTURES:
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                picture.prepare()
                with contextlib.redirect_stdout(io.StringIO()):
                    invoke(picture.line)
                shots = [screenshot(browser, picture, "light"), screenshot(browser, picture, "dark")]
            (ROOT / "docs" / "images" / f"{picture.name}.svg").write_text(for_both_grounds(picture, *shots), "utf-8")
        browser.close()


if __name__ == "__main__":
    main()
