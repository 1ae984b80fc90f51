"""Corrections of Linux's driver go to the places that they name, or nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "vm" / "fixes" / "edits.py"
#: a source of ours with the places that the corrections name
SOURCE = """\
static int give_pages(int npages,
\t\t      int event)
{
\tint err;

\tfunc_type = kind();
\tif (event)
\t\tgoto out_dropped;
\tif (err) {
\t\tgoto out_dropped;
\t}
\treturn 0;
}

static int other(int npages)
{
\tfunc_type = kind();
\treturn 0;
}
"""


def corrected(tree: Path, *names: str) -> subprocess.CompletedProcess[str]:
    (tree / "pagealloc.c").write_text(SOURCE)
    command = [sys.executable, str(SCRIPT), str(tree), *names]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_a_correction_stands_before_the_statement_of_its_function_and_nowhere_else(tmp_path: Path) -> None:
    done = corrected(tmp_path, "give-bounds", "give-kept")
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "pagealloc.c").read_text()
    own = [row for row in text.splitlines(keepends=True) if row not in SOURCE.splitlines(keepends=True)]
    assert [row for row in own if "npages" in row] == [
        "\tif (npages < 0 || npages > 1 << 20) {\n",
        '\t\tmlx5_core_warn(dev, "%d pages are asked for: refused\\n", npages);\n',
    ]
    assert "\t\t\tpage_notify_fail(dev, func_vhca_id, ec_function);\n" in own  # firmware is told
    assert text.index("npages < 0") < text.index("func_type") < text.index("-ETIMEDOUT") < text.index("other")
    assert text.index("goto out_dropped") < text.index("-ETIMEDOUT") < text.rindex("goto out_dropped")


def test_where_one_of_several_has_no_place_nothing_is_changed(tmp_path: Path) -> None:
    done = corrected(tmp_path, "give-bounds", "take-bounds")
    assert done.returncode == 2
    assert "pagealloc.c has no function reclaim_pages" in done.stderr
    assert (tmp_path / "pagealloc.c").read_text() == SOURCE


def test_an_unknown_correction_is_refused_with_the_names_of_all(tmp_path: Path) -> None:
    done = corrected(tmp_path, "give-bound")
    assert done.returncode == 2
    assert "give-bounds, give-kept, take-bounds, take-progress" in done.stderr
