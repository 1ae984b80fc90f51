"""The machines whose lines a log has: the host's name that syslog writes, or the node that a cluster's shell writes.

Both stand in front of the kernel's line. Lines of one machine after those of another are a restart; lines that take
turns are refused, as most of them name no more than a PCI address, which the machines of a cluster share.
"""

from __future__ import annotations

import re
from typing import Final

from fwpages.readers.inputs import InputError

_SYSLOG = re.compile(r"\d\d:\d\d:\d\d\S* (?P<host>\S+) kernel(?:\[\d+\])?:")
#: `node-a: [   65.1]`, `10.5.0.2: kern: info: [2024-...]`, `node-a | Nov 21 ...`, `[node-a] [   65.1]`, `nas> [  3.1]`
_NODE = re.compile(
    r"\s*[\[<(]?(?P<host>[A-Za-z][\w.-]*|\d+(?:\.\d+){3}|[0-9a-fA-F:]*::[0-9a-fA-F]+)"
    r"(?:[\])]?(?:\s*[:|>]+\s+)|[\])>]\s+|\s+(?=\[\s*\d+\.\d+\]))"
    r"(?=[\[<]|\d{4}-\d\d-\d\d|\w{3} [ \d]\d \d\d:|\w{3} \w{3} [ \d]\d|kern|mlx5_core|$)"
)
#: words that stand in the same place and name no machine: facilities, levels, programs
_NO_NODES: Final = frozenset(
    {"kern", "kernel", "user", "daemon", "syslog", "dmesg", "journal", "console", "mlx5_core", "message", "msg"}
    | {"emerg", "alert", "crit", "err", "error", "warn", "warning", "notice", "info", "debug"}
)


class Hosts:
    """The machines that a log named so far."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._names: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The machines, in the order of their lines."""
        return tuple(self._names)

    def follows(self, prefix: str) -> tuple[str, str] | None:
        """Another machine's lines begin with this one: it and the machine before; None where the machine is the same.

        InputError where lines of two machines take turns.
        """
        if prefix[:1] == "[" and prefix[1:2] in " 0123456789" and prefix.count("[") == 1:
            return None  # a time alone
        host, how = _host(prefix)
        if not host or host == (self._names[-1] if self._names else "") or host.startswith("localhost"):
            return None  # while it starts, a machine has no name yet
        if host in self._names:
            raise InputError(
                f"{self._file} has lines of the hosts {self._names[-1]} and {host} mixed: audit each by itself",
                f"grep '{how}' {self._file} | fwpages audit -",
            )
        self._names.append(host)
        return (host, self._names[-2]) if len(self._names) > 1 else None


def _host(prefix: str) -> tuple[str, str]:
    """The machine that a prefix names, and the text to search for its lines; empty where it names none."""
    m = _NODE.match(prefix)
    if m is not None and m["host"] not in _NO_NODES:
        return m["host"], f"^{m[0].rstrip()}"
    m = _SYSLOG.search(prefix)
    return (m["host"], f" {m['host']} kernel") if m else ("", "")
