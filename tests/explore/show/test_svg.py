from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from fwpages.explore.show.narrative import Message, Step
from fwpages.explore.show.rows import rows
from fwpages.explore.show.svg import svg
from tests.explore.show.test_chart import startup, step, walked

SVG = "{http://www.w3.org/2000/svg}"


def parsed(steps: list[Step], title: str = "a walk", *, whole: bool = False) -> ET.Element:
    return ET.fromstring(svg(steps, title, whole=whole))


def titles(root: ET.Element) -> list[str]:
    return [t.text or "" for t in root.iter(f"{SVG}title")]


def words(root: ET.Element) -> str:
    return " ".join(t.text or "" for t in root.iter(f"{SVG}text"))


def classed(root: ET.Element, name: str) -> list[ET.Element]:
    return [e for e in root.iter() if name in e.get("class", "").split()]


@pytest.mark.parametrize("whole", [False, True])
def test_every_message_of_a_real_walk_is_in_it(whole: bool) -> None:
    steps = list(walked("taken"))
    root = parsed(steps, whole=whole)
    shown = words(root)
    folded = rows(steps, whole=whole)[0].folded
    assert (folded == 0) is whole
    for s in steps[folded:]:
        for m in s.messages:
            assert m.text in shown
            assert any(t.endswith(f": {m.text}") for t in titles(root))
    for s in steps:
        assert any(f"{s.number} {s.actor}: {s.words}" in t for t in titles(root))


def test_equal_steps_give_equal_bytes() -> None:
    steps = list(walked("taken"))
    assert svg(steps, "a walk").encode() == svg(list(steps), "a walk").encode()


def test_it_stands_alone_and_says_what_it_is() -> None:
    text = svg([step(1, Message("host", "firmware", "GIVE"), words="gives")], "Can it leak?")
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert [child.tag for child in root][:3] == [f"{SVG}title", f"{SVG}desc", f"{SVG}style"]
    assert (root[0].text, root[1].text) == ("Can it leak?", "1 driver: gives")
    assert root.get("role") == "img"
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert "prefers-color-scheme: dark" in (root[2].text or "")
    assert not re.search(r"href|url\(|@import|<script|\bid=", text)


def test_every_rule_of_its_style_is_for_itself_alone() -> None:
    style = parsed([])[2].text or ""
    for line in filter(None, style.splitlines()):
        assert line.startswith((".fwpages-chart ", "@media ", "}"))
        assert all(s.strip().startswith(".fwpages-chart ") for s in line.split("{")[0].split(",") if line[0] == ".")
    assert style.count("{") == style.count("}")


def test_text_is_escaped() -> None:
    nasty = "</text><script>&amp; \"'\x00"
    text = svg([step(1, Message("host", "firmware", nasty), words=nasty, waiting={nasty: nasty})], nasty)
    root = ET.fromstring(text)
    assert "<script" not in text
    assert "</text><script>&amp; \"'�" in words(root)


def test_marks_and_differences_have_their_classes() -> None:
    said = [
        Message("host", "firmware", "GIVE"),
        Message("firmware", "host", "no", "bad"),
        Message("host", "host", "x", "note"),
    ]
    root = parsed([step(1, *said, pages={"a": (1, 1), "b": (2, 1)}), step(2, pages={"a": (2, None), "b": (2, None)})])
    for mark in ("ok", "bad", "note"):
        assert len([g for g in classed(root, mark) if g.tag == f"{SVG}g"]) == 1
    assert [c.findtext(f"{SVG}text") for c in classed(root, "same")] == ["a 1"]
    assert [c.findtext(f"{SVG}text") for c in classed(root, "differs")] == ["b: firmware has 2, books say 1"]
    assert [c.findtext(f"{SVG}title") for c in classed(root, "open")] == [
        "a: firmware has 2 pages, the driver's books unknown"
    ]
    assert len(classed(root, "alarm")) == 1


def test_a_fold_tells_in_its_title_what_it_hides() -> None:
    root = parsed([*startup(14), step(15, words="close")])
    hidden = next(t for t in titles(root) if t.startswith("1 driver: open\n"))
    assert len(hidden.splitlines()) == rows([*startup(14), step(15, words="close")])[0].folded
    assert len(classed(root, "fold")) == 1
    assert not classed(parsed(startup(14), whole=True), "fold")


def _boxes(root: ET.Element) -> Iterator[tuple[float, float]]:
    """From where to where each text reaches, with characters of 7.3 pixels."""
    for t in root.iter(f"{SVG}text"):
        if "h" in t.get("class", "").split():
            continue
        x, wide, cls = float(t.get("x", 0)), len(t.text or "") * 7.3, t.get("class", "").split()
        yield (x - wide, x) if "e" in cls else (x - wide / 2, x + wide / 2) if "c" in cls else (x, x + wide)


def test_what_is_long_is_wrapped_and_all_is_within_the_picture() -> None:
    long = "a long word " * 30
    said = [Message(a, b, long.strip()) for a in ("host", "pages", "firmware") for b in ("host", "firmware")]
    pages: dict[str, tuple[int, int | None]] = {"x" * 99: (1, 1)}
    pages |= {f"function{n}": (n, 8_000_000) for n in range(9)}
    steps = [step(1, *said, words=long, actor=long, pages=pages, counters={"c" * 80: 1}, waiting={"t": long})]
    root = parsed([*steps, step(2, pages={f"function{n}": (n, None) for n in range(9)})], long)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for left, right in _boxes(root):
        assert left >= 0
        assert right <= width
    ends = [float(t.get("y", 0)) for t in root.iter(f"{SVG}text")]
    assert max(ends) < height
    assert words(root).count("long") >= 30 * (len(said) + 2)


def test_nothing_to_show() -> None:
    assert "firmware" in words(parsed([]))
    assert "a 0" in words(parsed([step(1, pages={"a": (1, 1)}), step(2)]))


def test_the_step_at_which_a_property_breaks_has_a_frame_and_says_it() -> None:
    steps = [step(1), step(2, Message("host", "firmware", "GIVE", "bad"))]
    root = ET.fromstring(svg(steps, "a walk", ["custody: firmware has 1 & more", "lost: a page"]))
    (flag,) = classed(root, "flag")
    lines = [e.text for e in flag.iter(f"{SVG}text")]
    assert lines == ["✗ broken here: custody: firmware has 1 & more", "✗ broken here: lost: a page"]
    (frame,) = classed(root, "frame")
    top, ground = float(frame.get("y", "")), flag.find(f"{SVG}rect")
    assert ground is not None
    bottom = top + float(frame.get("height", ""))
    assert float(ground.get("y", "")) + float(ground.get("height", "")) == bottom < float(root.get("height", ""))
    assert not classed(parsed(steps), "flag")
