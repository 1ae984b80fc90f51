"""Makes ``docs/images/report.png``: ``make chromium``, then ``python docs/make_report_picture.py``.

It is a report in a browser, of the recorded log of an unmodified Linux, of which the end was lost.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from fwpages.cli import invoke

ROOT = Path(__file__).parents[1]
LOG = ROOT / "tests" / "golden" / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"
#: lines of the log that are kept: it ends within a dump of a TAKE's answer
LINES = 5000
SIZE = {"width": 1040, "height": 1330}


def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory() as folder:
        log, page_file = Path(folder) / "kern.log", Path(folder) / "report.html"
        log.write_bytes(b"".join(gzip.decompress(LOG.read_bytes()).splitlines(keepends=True)[:LINES]))
        # the picture names the file, not the folder that it is in
        invoke(["report", "--redact", str(log), "-o", str(page_file)])
        page_file.write_text(page_file.read_text("utf-8").replace("file1", "kern.log"), "utf-8")
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=ROOT / "build" / "chromium" / "chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.goto(page_file.as_uri())
            page.wait_for_selector(".chart.live")
            page.screenshot(path=ROOT / "docs" / "images" / "report.png")
            browser.close()


main()
