"""Names that identify a machine taken out of a report: the same name becomes the same token everywhere.

Hosts and nodes are the names that the inputs' lines have in front; files are called by their number, as their names
and folders often have the host's. MAC addresses, GUIDs, serial numbers and IP addresses are known by their form. PCI
addresses, firmware versions and counts stay: they are what the report is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

_T = TypeVar("_T", bound=msgspec.Struct)

_HEX = "[0-9a-fA-F]"
#: around pairs of hex digits: no further pair, and no word
_BEFORE, _AFTER = rf"(?<!\w)(?<!\b{_HEX}{{2}}:)", rf"(?!\w|[:-]{_HEX}{{2}}\b)"
_FORMS = {
    "mac": rf"{_BEFORE}{_HEX}{{2}}(?:[:-]{_HEX}{{2}}){{5}}{_AFTER}",
    "guid": rf"{_BEFORE}(?:{_HEX}{{4}}(?::{_HEX}{{4}}){{3}}(?!\w|::?{_HEX})|(?:{_HEX}{{2}}:){{7}}{_HEX}{{2}}{_AFTER})"
    rf"|(?<![\w:])0x{_HEX}{{16}}(?!\w)",
    "serial": r"\bM[TN]\d{4}[A-Z]\w{4,}\b|(?<=[Ss]erial number: )\S+|(?<=[Ss]erial: )\S+|(?<=S/N: )\S+",
    "ip": r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
    # IPv6 with `::` or in full, also with an IPv4 address at its end
    rf"|(?<!\w)(?=:*{_HEX})(?=[0-9a-fA-F:]*::|(?:{_HEX}{{1,4}}:){{7}}{_HEX})[0-9a-fA-F:]*(?:{_HEX}|::)"
    r"(?:(?:\.\d{1,3}){3})?(?!\w)",
}
_BY_FORM = re.compile("|".join(f"(?P<{kind}>{form})" for kind, form in _FORMS.items()))


class Redactor:
    """Replaces names by tokens; it remembers those that it gave."""

    def __init__(self, files: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self._tokens: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        for file in files:
            if file != "-":
                self._token("file", file)
        for host in sorted(hosts):
            self._token("host", host)
            if not host[0].isdigit() and (short := host.partition(".")[0]) != host:
                self._tokens.setdefault(short, self._tokens[host])
        names = sorted(self._tokens, key=len, reverse=True)
        known = "|".join(map(re.escape, names)) or "(?!)"
        # a host may stand with its domain, which names its owner
        self._names = re.compile(rf"(?<![\w-])(?P<name>{known})(?:\.\w[\w-]*)*(?![\w-])")

    def text(self, text: str) -> str:
        """The text without names."""
        text = self._names.sub(lambda m: self._tokens[m["name"]], text)
        return _BY_FORM.sub(lambda m: self._token(m.lastgroup or "name", m[0]), text)

    def report(self, report: _T) -> _T:
        """A report without names in any of its values."""
        return msgspec.convert(self._value(msgspec.to_builtins(report)), type(report))

    def _value(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._value(v) for v in value]
            case dict():
                return {key: self._value(v) for key, v in value.items()}
            case _:
                return value

    def _token(self, kind: str, name: str) -> str:
        if name not in self._tokens:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._tokens[name] = f"{kind}{self._counts[kind]}"
        return self._tokens[name]
