"""Where one session ends and the next begins: a table of what arrives against what was seen so far."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Sign(Enum):
    """Something that a driver does, or prints, when it loads."""

    ENABLE = "ENABLE_HCA of the function itself, which may be any function 0"
    ENABLE_CERTAIN = "ENABLE_HCA, certainly of the function itself"
    ENABLE_AS_PF = "the first command on an ECPF, and it names the host PF, which cannot be enabled yet"
    ENABLE_ECPF = "ENABLE_HCA with the ec bit: certainly of an ECPF itself"
    BOOT_QUERY = "QUERY_PAGES for boot pages"
    COMMAND = "any other command"
    VERSION_LINE = "the driver prints the firmware's version"
    BOOT_LINE = "the driver prints how many boot pages firmware wants"
    BOOT_LINE_AGAIN = "the same, where pages were counted by the driver's lines already, and there are no dumps"


class Phase(Enum):
    """A session as it was seen so far."""

    FRESH = "nothing of it was seen"
    MIDDLE = "it is under way, and its beginning was not seen"
    PERHAPS = "the same, and an ENABLE_HCA came that may be the next session's"
    TRYING = "it begins: ENABLE_HCA was sent and not answered OK, nothing about pages was seen"
    RUNNING = "it is under way"
    CLOSED = "DISABLE_HCA was answered OK"


class Opening(Enum):
    """The place of a sign in the sequence of sessions."""

    #: it belongs to this session
    SAME = "same"
    #: this session begins with it
    HERE = "here"
    #: the next session begins with it
    NEXT = "next"
    #: what follows will show it
    PERHAPS = "perhaps"


_REST = dict.fromkeys(Phase, Opening.SAME)
_NEXT_UNLESS_FRESH = dict.fromkeys(Phase, Opening.NEXT) | {Phase.FRESH: Opening.HERE}

#: a load that failed is tried again in the same session of a numbered trace: that is what TRYING is for
TABLE: Mapping[Sign, Mapping[Phase, Opening]] = MappingProxyType(
    {
        Sign.ENABLE_CERTAIN: _NEXT_UNLESS_FRESH | {Phase.TRYING: Opening.HERE},
        Sign.ENABLE_AS_PF: _REST | {Phase.FRESH: Opening.HERE},
        Sign.ENABLE_ECPF: _NEXT_UNLESS_FRESH | {Phase.TRYING: Opening.HERE},
        Sign.ENABLE: _NEXT_UNLESS_FRESH
        | {Phase.TRYING: Opening.HERE, Phase.MIDDLE: Opening.PERHAPS, Phase.PERHAPS: Opening.PERHAPS},
        Sign.BOOT_QUERY: _REST | {Phase.PERHAPS: Opening.NEXT, Phase.CLOSED: Opening.NEXT},
        Sign.COMMAND: _REST | {Phase.CLOSED: Opening.NEXT},
        Sign.VERSION_LINE: _NEXT_UNLESS_FRESH,
        Sign.BOOT_LINE: _REST | {Phase.FRESH: Opening.HERE},
        Sign.BOOT_LINE_AGAIN: dict.fromkeys(Phase, Opening.NEXT),
    }
)
