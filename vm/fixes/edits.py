"""Small corrections of Linux's mlx5_core, each for one finding of the review: ``edits.py TREE NAME…`` makes them.

An edit names the file, the function and the statement before which it puts lines of our own. Where a kernel has no
such place (another version, or one with a correction of its own), nothing is changed and the exit status is 2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PAGES = "pagealloc.c"
QUEUE = "cmd.c"


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines that go into ``function`` of ``file``, before its ``nth`` statement that contains ``before``."""

    file: str
    function: str
    before: str
    lines: str
    nth: int = 1


FIXES: Mapping[str, tuple[Edit, ...]] = MappingProxyType(
    {
        # a count that no device means is refused before memory is allocated by it: 4 GiB in one command;
        # firmware that asked in an event is answered CANT_GIVE
        "give-bounds": (
            Edit(
                PAGES,
                "give_pages",
                "func_type = ",
                """\
	if (npages < 0 || npages > 1 << 20) {
		mlx5_core_warn(dev, "%d pages are asked for: refused\\n", npages);
		if (event)
			page_notify_fail(dev, func_vhca_id, ec_function);
		return -EINVAL;
	}
""",
            ),
        ),
        # firmware may have carried out a GIVE that it did not answer: its pages stay where they are
        "give-kept": (
            Edit(
                PAGES,
                "give_pages",
                "goto out_dropped",
                """\
		if (err == -ETIMEDOUT) {
			kvfree(in);
			return err;
		}
""",
                nth=2,
            ),
        ),
        # a count above 2^31 is one that is too large, and not a negative one
        "take-bounds": (
            Edit(
                PAGES,
                "reclaim_pages",
                "if (num_claimed > npages)",
                """\
	if (num_claimed < 0) {
		mlx5_core_warn(dev, "%d pages are answered: refused\\n", num_claimed);
		err = -EINVAL;
		goto out_free;
	}
""",
            ),
        ),
        # pages that the driver does not know are no progress
        "take-progress": (
            Edit(PAGES, "mlx5_reclaim_root_pages", "err = reclaim_pages(", "\t\tfw_pages = dev->priv.fw_pages;\n"),
            Edit(
                PAGES,
                "mlx5_reclaim_root_pages",
                "if (nclaimed)",
                "\t\tif (dev->priv.fw_pages == fw_pages)\n\t\t\tnclaimed = 0;\n",
            ),
            Edit(PAGES, "mlx5_reclaim_root_pages", "u64 recl_pages_to_jiffies", "\tu32 fw_pages;\n"),
        ),
    }
)


class NoPlaceError(Exception):
    """The source has no such function, or no such statement in it."""


def edited(text: str, edit: Edit) -> str:
    """Return the source with the edit made. NoPlaceError where it has no place."""
    head = re.search(rf"^[a-z][^;{{}}()]*\b{edit.function}\([^;{{}}]*\)\n\{{\n", text, re.MULTILINE)
    if head is None:
        raise NoPlaceError(f"{edit.file} has no function {edit.function}")
    end = text.index("\n}\n", head.end())
    at = head.end() - 1
    for _ in range(edit.nth):
        at = text.find(edit.before, at + 1, end)
        if at < 0:
            raise NoPlaceError(f"{edit.function} in {edit.file} has no {edit.before!r}")
    line = text.rindex("\n", 0, at) + 1
    return text[:line] + edit.lines + text[line:]


def make(tree: Path, names: list[str]) -> None:
    """Make the named corrections in the sources of mlx5_core at ``tree``, all or none. NoPlaceError as ``edited``."""
    texts: dict[str, str] = {}
    for name in names:
        for edit in FIXES[name]:
            text = texts.get(edit.file) or (tree / edit.file).read_text("utf-8")
            texts[edit.file] = edited(text, edit)
    for file, text in texts.items():
        (tree / file).write_text(text, "utf-8")


def main(words: list[str]) -> int:
    """Make the corrections that the command line names; the exit status."""
    if len(words) < 2 or any(name not in FIXES for name in words[1:]):
        sys.stderr.write(f"usage: edits.py TREE NAME…, with names of: {', '.join(FIXES)}\n")
        return 2
    try:
        make(Path(words[0]), words[1:])
    except (NoPlaceError, OSError) as e:
        sys.stderr.write(f"edits.py: {e}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
