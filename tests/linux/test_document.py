"""docs/differences-from-linux.md and the tests of differences say of each other what is true. Needs no library."""

from __future__ import annotations

import re
from pathlib import Path

from tests.linux import test_differences, test_more_differences
from tests.linux.slips import SLIPS

TEXT = (Path(__file__).parents[2] / "docs" / "differences-from-linux.md").read_text("utf-8")
SECTIONS = TEXT.split("\n### ")[1:]
#: what must be there, by a word or two of the section's title
REQUIRED = (
    "GIVE that is not answered",
    "leaks the tree",
    "Endless teardown",
    "Negative and huge counts",
    "Double return",
    "Foreign return",
    "Forced reclaim with firmware alive",
    "Late types",
    "release_all crossing a GIVE",
    "Refused teardown, then reopen",
    "ECPF entries that are not migrated",
    "Startup reclaim always reports success",
)


def test_each_section_has_its_test_and_each_test_its_section() -> None:
    named = [re.findall(r"^Test: `(test_\w+)`$", section, re.M) for section in SECTIONS]
    assert [len(names) for names in named] == [1] * len(SECTIONS)
    modules = (test_differences, test_more_differences)
    there = [name for m in modules for name in vars(m) if name.startswith("test_")]
    assert [names[0] for names in named] == there


def test_each_section_tells_of_both_sides() -> None:
    for section in SECTIONS:
        title = section.splitlines()[0]
        assert re.search(r"^(Linux|Read from the source)", section, re.M), title
        assert re.search(r"^`fwpages`: ", section, re.M), title


def test_nothing_that_must_be_there_is_missing() -> None:
    titles = [section.splitlines()[0] for section in SECTIONS]
    assert [words for words in REQUIRED if not any(words in title for title in titles)] == []


def test_the_number_of_slips_is_right() -> None:
    assert f"{len(SLIPS)} deliberate slips" in TEXT
