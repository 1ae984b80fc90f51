"""What mlx5_core's own lines say, in the words of Linux 3.x to 7.2.

Each phrase is a pattern and what it states; its groups become the fields of ``Said`` of the same names (``dec`` is a
``number`` in decimal, ``err2`` an ``err``, ``all`` and ``boot`` are flags, ``who`` a type in words). Wordings that do
not name a function, or a mode, leave the field None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fwpages.prm.identity import FunctionType, Mode
from fwpages.readers.observations import Place, Said, What

_CMD = r"(?:cmd\[(?P<slot>\d+)\]: )?\S+\(0x(?P<opcode>[0-9a-f]+)\)"
_FUNC = r"func(?:_id|_vhca_id)?"

#: a phrase is tried where its first word(s) are in the line; the patterns are matched from the message's beginning
_PHRASES: list[tuple[str, What, str]] = [
    ("firmware version:", What.FIRMWARE, r"firmware version: \d"),
    (
        "requested",
        What.REQUESTED,
        r"requested (?P<pages>-?\d+) (?P<boot>boot|init) pages for func(?:_vhca)?(?:_id)? 0x(?P<number>[0-9a-f]+)",
    ),
    (
        "page request",
        What.REQUEST,
        r"page request for func 0x(?P<number>[0-9a-f]+), n(?:pa|ap)ges (?P<pages>-?\d+)(?:, release_all (?P<all>\d+))?",
    ),
    (
        "npages",
        What.GAVE,
        r"npages (?P<pages>\d+), ec_function (?P<ec>\d), func(?:_id|_vhca_id)? 0x(?P<number>[0-9a-f]+)"
        r"(?:, mode (?P<mode>\d))?, err (?P<err>-?\d+)$",
    ),
    (
        "npages",
        What.RELEASED,
        r"npages (?P<pages>-?\d+), ec_function (?P<ec>\d), func(?:_id|_vhca_id)? 0x(?P<number>[0-9a-f]+)"
        r"(?:, mode (?P<mode>\d))?$",
    ),
    (
        "outlen",
        What.TAKING,
        r"(?:func(?:_id|_vhca_id)? 0x(?P<number>[0-9a-f]+), )?"
        r"npages (?P<pages>-?\d+), outlen -?\d+(?: mode (?P<mode>\d))?$",
    ),
    (
        "npages",
        What.GIVE_FAILED,
        r"func(?:_id|_vhca_id) 0x(?P<number>[0-9a-f]+), npages (?P<pages>-?\d+), (?:err|status) (?P<err>-?\d+)$",
    ),
    ("npages", What.GAVE, r"npages (?P<pages>\d+), err (?P<err>-?\d+)$"),
    (
        "FW pages counter",
        What.LEFT,
        r"(?P<who>.*?)FW pages counter is (?P<pages>-?\d+) after reclaiming all pages",
    ),
    ("FW did not return", What.GAVE_UP, r"FW did not return all pages"),
    (
        "reclaim_pages err",
        What.RECLAIM_FAILED,
        r"reclaim_pages err \((?P<err>-?\d+)\) " + _FUNC + r"=0x(?P<number>[0-9a-f]+) ec_func=0x(?P<ec>[0-9a-f]+)",
    ),
    (
        "failed recl",
        What.RECLAIM_FAILED,
        r"failed recl(?:aim|iam)ing pages(?:: err (?P<err>-?\d+)| \((?P<err2>-?\d+)\))?"
        r"(?: for func id 0x(?P<number>[0-9a-f]+))?$",
    ),
    ("page not found", What.NOT_FOUND, r"page not found"),
    ("unknown DMA address", What.NOT_FOUND, r"FW reported unknown DMA address"),
    ("driver asked", What.OVER_ASKED, r"fw returned (?P<pages>-?\d+), driver asked (?P<asked>-?\d+)"),
    ("failed to allocate pages request", What.REQUEST_DROPPED, r"failed to allocate pages request$"),
    ("failed to allocate page", What.ALLOC_FAILED, r"failed to allocate pages?$"),
    ("failed dma mapping page", What.ALLOC_FAILED, r"failed dma mapping page"),
    ("failed to track", What.ALLOC_FAILED, r"failed to track allocated page"),
    ("vzalloc failed", What.ALLOC_FAILED, r"vzalloc failed"),
    ("give fail", What.ALLOC_FAILED, r"give fail (?P<err>-12)$"),
    (
        "page notify failed",
        What.NOTIFY_FAILED,
        r"page notify failed(?: func(?:_id|_vhca_id)\((?P<dec>\d+)\))?(?: err\((?P<err>-?\d+)\))?",
    ),
    (
        "failed, status",
        What.REFUSED,
        _CMD + r" op_mod\(0x(?P<op_mod>[0-9a-f]+)\) failed, status .*\(0x(?P<status>[0-9a-f]+)\)"
        r", syndrome",
    ),
    (
        "timeout. Will cause a leak",
        What.TIMEOUT,
        _CMD + r"(?: Async,)? timeout\. Will cause a leak",
    ),
    (
        "No done completion",
        What.NO_DONE,
        _CMD + r" No done completion",
    ),
    ("recovered after timeout", What.LATE, _CMD + r"(?: Async,)? recovered after timeout"),
    ("arrived after timeout", What.LATE, r"Command completion arrived after timeout \(entry idx = (?P<slot>\d+)\)"),
    ("canceled on out of queue", What.NOT_SENT, _CMD + r" canceled on out of queue timeout"),
    ("timeout while waiting for command", What.NOT_SENT, _CMD + r" timeout while waiting for command semaphore"),
    ("timed out while waiting for a slot", What.NOT_SENT, _CMD + r" timed out while waiting for a slot"),
    ("pending pages", What.PENDING, r"aborting while there are (?P<pages>-?\d+) pending pages"),
    ("Skipping wait for vf pages", What.DEVICE_ERROR, r"Skipping wait for vf pages stage"),
    ("health compromised", What.DEVICE_ERROR, r"device's health compromised"),
    ("Fatal error", What.DEVICE_ERROR, r"Fatal error \d+ detected"),
    ("pci channel state", What.DEVICE_ERROR, r".*Enter, pci channel state = [23]$"),
    ("PCI slot is unavailable", What.DEVICE_ERROR, r"PCI slot is unavailable"),
    ("skip cleanup", What.NO_TEARDOWN, r"tear_down_hca failed, skip cleanup"),
]

#: characters of one line of the kernel's, at most
MAX_MESSAGE = 1024

_COMPILED = [(needle, what, re.compile(pattern)) for needle, what, pattern in _PHRASES]

#: kernels whose give_pages says nothing but the error
_BARE = re.compile(r"err (?P<err>-?\d+)$")

_KINDS = {
    "VFs": FunctionType.VF,
    "External host PF": FunctionType.HOST_PF,
    "Peer PF": FunctionType.HOST_PF,
    "SPFs": FunctionType.SPF,
    "EC VFs": FunctionType.EC_VF,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A message's fields before it is known whose it is."""

    what: What
    groups: dict[str, str | None]


def understand(function: str | None, message: str) -> Statement | None:
    """What this message states; ``function`` is the driver's function that said it, where the line names it."""
    if len(message) > MAX_MESSAGE:  # nor does Python read numbers of any length
        return None
    for needle, what, pattern in _COMPILED:
        if needle in message and (m := pattern.match(message)):
            return Statement(what, m.groupdict())
    if function == "give_pages" and (m := _BARE.match(message)):
        return Statement(What.GAVE, m.groupdict())
    if function == "mlx5_error_sw_reset" and message == "start":
        return Statement(What.DEVICE_ERROR, {})
    return None


def plausible(v: Said) -> bool:
    """The numbers of a line are such as a driver can mean: functions have 16 bits, all else has 32."""
    rest = (v.pages, v.asked, v.err, v.opcode, v.status, v.slot)
    return (v.number or 0) <= 0xFFFF and all(abs(n or 0) < 1 << 32 for n in rest)


def said(statement: Statement, place: Place, device: str, text: str) -> Said:
    """The statement as a value with its place."""
    g = statement.groups

    def number(name: str, base: int = 10) -> int | None:
        value = g.get(name)
        return None if value is None else int(value, base)

    what = statement.what
    pages, err = number("pages"), number("err") if g.get("err") is not None else number("err2")
    if what is What.GAVE and err:
        what = What.GIVE_FAILED
    if what is What.REQUEST and number("all"):
        what = What.RELEASE_REQUEST
    mode, ec = g.get("mode"), number("ec", 16)
    return Said(
        place=place,
        device=device,
        what=what,
        text=text,
        number=number("number", 16) if g.get("number") is not None else number("dec"),
        ec=None if ec is None else bool(ec),
        mode=None if mode is None else (Mode.FUNC_ID if mode == "0" else Mode.VHCA_ID),
        pages=pages,
        asked=number("asked"),
        err=err,
        opcode=number("opcode", 16),
        op_mod=number("op_mod", 16),
        status=number("status", 16),
        slot=number("slot"),
        boot=g.get("boot") == "boot",
        kind=_KINDS.get((g.get("who") or "").strip()),
    )
