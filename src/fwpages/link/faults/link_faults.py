"""What goes wrong between a host and a device: commands given up, links lost, memory that cannot be mapped.

A link asks its ``LinkFaults`` at each opportunity, and does what it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from fwpages.device import Fault
from fwpages.host import Map
from fwpages.prm.mailbox import of_command
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.queue import mailboxes_for

#: what becomes of a command: carried as it should be; not carried, or carried and its answer kept back, and given up;
#: the link gone from here on
Fate: TypeAlias = Literal["carry", "drop", "swallow", "lose"]

#: at what a fault has its opportunity; those from ``wire`` on are of bytes, which only a link with a wire has: a
#: command as it is written, an entry as it is given back, an event as it is raised, an interrupt, a doorbell of events
Where: TypeAlias = Literal["command", "answer", "map", "reset", "wire", "return", "event", "interrupt", "arm"]


@dataclass(frozen=True, slots=True)
class LinkFault:
    """A fault in words, at which opportunity it strikes, and which findings name it."""

    words: str
    where: Where
    named: tuple[str, ...]
    match: Callable[[Command], bool] = lambda _: True


def _manage(kind: ManagePages) -> Callable[[Command], bool]:
    return lambda c: c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


_GIVE, _TAKE = _manage(ManagePages.GIVE), _manage(ManagePages.TAKE)

LINK_FAULTS: Mapping[str, LinkFault] = MappingProxyType(
    {
        "give-aborted-lost": LinkFault(
            "the link gives up a GIVE that the device never saw", "command", ("give-unanswered",), _GIVE
        ),
        "give-aborted-done": LinkFault(
            "the link gives up a GIVE that the device carries out", "command", ("give-unanswered",), _GIVE
        ),
        "take-aborted-lost": LinkFault(
            "the link gives up a TAKE that the device never saw", "command", ("take-unanswered",), _TAKE
        ),
        "take-aborted-done": LinkFault(
            "the link gives up a TAKE that the device carries out", "command", ("take-unanswered",), _TAKE
        ),
        "link-lost": LinkFault("the device is gone, and back after a reset", "command", ("link-lost",)),
        "link-lost-for-good": LinkFault("the device is gone and cannot be reset", "command", ("link-lost",)),
        "not-fenced": LinkFault("a reset is never confirmed", "reset", ("not-fenced",)),
        "map-fails": LinkFault("there is no memory, or it cannot be mapped", "map", ("alloc-failed",)),
        "map-at-zero": LinkFault("memory is mapped at address 0", "map", ("alloc-failed",)),
        "map-elsewhere": LinkFault("memory is mapped elsewhere than asked", "map", ("alloc-failed",)),
        "answer-twice": LinkFault("an answer arrives twice", "answer", ("late-answer",)),
        "answer-garbled": LinkFault("an answer arrives as one to another command", "answer", ("answer-malformed",)),
    }
)

_REFUSED = ("command-refused", "give-refused", "take-refused", "teardown-refused")
_UNANSWERED = ("command-unanswered", "give-unanswered", "take-unanswered")


def _input(least: int) -> Callable[[Command], bool]:
    return lambda c: of_command(c).mailboxes >= least


def _output(least: int) -> Callable[[Command], bool]:
    return lambda c: mailboxes_for(c.reply_length) >= least


#: faults of bytes: a link without them never has their opportunity
WIRE_FAULTS: Mapping[str, LinkFault] = MappingProxyType(
    {
        "entry-signature": LinkFault("an entry's signature is wrong, which is looked at while asked for", "wire", ()),
        "entry-type": LinkFault("an entry says that it is no command", "wire", _REFUSED),
        "entry-reserved": LinkFault("an entry has reserved bits set", "wire", _REFUSED),
        "input-length": LinkFault("an entry says that its input has 4 GiB", "wire", _REFUSED),
        "output-length": LinkFault("an entry says that there is no room for an answer", "wire", _REFUSED),
        "input-unaligned": LinkFault("input mailboxes are not aligned", "wire", _REFUSED, _input(1)),
        "output-unaligned": LinkFault("output mailboxes are not aligned", "wire", _REFUSED, _output(1)),
        "input-unmapped": LinkFault("input mailboxes are not mapped", "wire", _UNANSWERED, _input(1)),
        "input-token": LinkFault("an input mailbox has another command's token", "wire", _REFUSED, _input(1)),
        "output-token": LinkFault("an output mailbox has another command's token", "wire", _REFUSED, _output(1)),
        "input-order": LinkFault("two input mailboxes have each other's numbers", "wire", _REFUSED, _input(2)),
        "input-loop": LinkFault("the input mailboxes lead back to the first", "wire", _REFUSED, _input(2)),
        "input-short": LinkFault("the input mailboxes are too few", "wire", _REFUSED, _input(2)),
        "output-short": LinkFault("the output mailboxes are too few", "wire", _REFUSED, _output(2)),
        "ownership-kept": LinkFault("an entry is never given back", "return", _UNANSWERED),
        "answer-token": LinkFault("an entry comes back as that of another command", "return", _UNANSWERED),
        "event-owner": LinkFault("an event has the wrong owner bit: nor are later ones seen", "event", ()),
        "interrupt-lost": LinkFault("an interrupt is lost", "interrupt", ()),
        "doorbell-lost": LinkFault("the device is not told that events were read, nor to interrupt again", "arm", ()),
    }
)


def garbled(a: Answer) -> Answer:
    """The answer as one to another command."""
    return replace(a, opcode=Opcode.QUERY_ADAPTER if a.opcode != Opcode.QUERY_ADAPTER else Opcode.INIT_HCA)


@dataclass(slots=True)
class LinkFaults:
    """The faults of one link; ``took`` names those that took effect, in their order."""

    faults: tuple[Fault, ...] = ()
    #: opportunities so far of each fault, by its place in ``faults``
    seen: dict[int, int] = field(default_factory=dict)
    took: tuple[str, ...] = ()
    #: the device is out of reach, and will be until it is reset (or for good)
    gone: bool = False
    for_good: bool = False

    def _strikes(self, where: str, command: Command | None = None) -> str | None:
        """The first fault that is due at this opportunity; another one that is due waits for the next."""
        struck = None
        for n, fault in enumerate(self.faults):
            rule = LINK_FAULTS.get(fault.name) or WIRE_FAULTS[fault.name]
            if rule.where != where or not (command is None or rule.match(command)):
                continue
            opportunity = self.seen.get(n, 0) + 1
            if fault.due(opportunity):
                if struck is not None:
                    continue
                struck = fault.name
                self.took = (*self.took, struck)
            self.seen[n] = opportunity
        return struck

    @property
    def missed(self) -> tuple[Fault, ...]:
        """The faults whose opportunity never came."""
        return tuple(f for n, f in enumerate(self.faults) if self.seen.get(n, 0) < f.at)

    def command(self, c: Command) -> Fate:
        """What becomes of a command."""
        if self.gone:
            return "lose"
        name = self._strikes("command", c)
        if name is None:
            return "carry"
        if name.startswith("link-lost"):
            self.gone, self.for_good = True, name == "link-lost-for-good"
            return "lose"
        return "drop" if name.endswith("-lost") else "swallow"

    def answers(self, a: Answer) -> Sequence[Answer]:
        """What arrives in the place of an answer."""
        name = self._strikes("answer")
        if name == "answer-twice":
            return a, a
        if name == "answer-garbled":
            return (garbled(a),)
        return (a,)

    def mapped_at(self, m: Map) -> int | None:
        """Where a chunk comes to lie; None where it cannot be mapped."""
        name = self._strikes("map")
        return {"map-fails": None, "map-at-zero": 0, "map-elsewhere": m.iova + (1 << 40)}.get(name or "", m.iova)

    def reset(self) -> bool:
        """A reset works, and brings the device back."""
        if self.for_good or self._strikes("reset") is not None:
            return False
        self.gone = False
        return True

    def wire(self, where: Where, command: Command | None = None) -> str | None:
        """The fault of the wire that strikes here, by name."""
        return self._strikes(where, command)

    def copy(self) -> LinkFaults:
        """Faults of their own."""
        return replace(self, seen=dict(self.seen))
