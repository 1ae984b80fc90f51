"""The structure of a JUnit document that CI systems agree on, after the schema of Jenkins' xUnit plugin."""

from __future__ import annotations

import xml.etree.ElementTree as ET

#: element → attributes that it must have, that it may have, and its children
_RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version", "group"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
    "system-err": (set(), set(), set()),
}


def parsed(text: str | bytes) -> ET.Element:
    """The document, checked: elements, attributes, and counts that are those of the cases."""
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    _check(root)
    for of in (root, *root.iter("testsuite")):
        cases = list(of.iter("testcase"))
        assert int(of.attrib["tests"]) == len(cases)
        assert int(of.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
        assert int(of.attrib["errors"]) == sum(case.find("error") is not None for case in cases)
        if "skipped" in of.attrib:
            assert int(of.attrib["skipped"]) == sum(case.find("skipped") is not None for case in cases)
    return root


def _check(element: ET.Element) -> None:
    must, may, children = _RULES[element.tag]
    assert must <= set(element.attrib) <= must | may, element.attrib
    assert element.tag != "testcase" or len([x for x in element if x.tag in ("skipped", "error", "failure")]) <= 1
    for child in element:
        assert child.tag in children, child.tag
        _check(child)
