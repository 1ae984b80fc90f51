"""Events into lines of a trace: commands with their answers, page requests, and what is not known.

A call is one task's: its return is the next event of that task. Commands of one device are told from another's by the
name of the device, which each event has; where the kernel's types do not tell it, by the address of its structure,
under a name that says so. A page request has the address of its notifier, which lies in the device's structure.
"""

from __future__ import annotations

import errno
import re
from collections import defaultdict
from dataclasses import dataclass, field

from fwpages.machine.calls.lines import Call, Garbled, Lost
from fwpages.machine.calls.probes import HEAD, Event
from fwpages.machine.calls.requests import Requests, Seen
from fwpages.prm.event import PageRequestEvent, decode_page_request, encode_page_request
from fwpages.prm.message import decode_command
from fwpages.prm.opcodes import ManagePages, Opcode, opcode_name
from fwpages.readers.trace_writer import Part, RecordWriter

#: calls under way that are remembered: as many as a machine can have tasks that wait for a command
MAX_CALLS = 1 << 16
#: addresses of structures whose device is remembered
MAX_DEVICES = 1 << 16
#: bytes of a device's structure at most: some drivers' has a table of every command's statistics in it
_MOST_BYTES = 1 << 20
_HEAD_BYTES = 4 * HEAD
_NAME = re.compile(r"[\w.:-]{1,64}")
#: the driver's call returns this where the device answered, with a status other than OK
_REFUSED = -errno.EREMOTEIO
_STATUS, _COUNT = 0, slice(8, 12)
#: how a gap begins where the kernel skipped a probe in an interrupt
_NOT_SEEN = "it was not seen when an interrupt"


@dataclass(slots=True)
class _Pending:
    """A command whose call has not returned.

    ``gives`` is the function, its number and its bit, to which it gives pages, if it does. ``crossed``: all pages of
    that function were released meanwhile.
    """

    id: int
    device: str
    opcode: int
    op_mod: int
    reply: int
    gives: tuple[int, bool] | None
    crossed: bool = False


@dataclass(slots=True)
class _Returning:
    """A TAKE that was answered OK: ``count`` pages come back, one event each."""

    pending: _Pending
    time: float
    head: bytes
    count: int
    addresses: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Counts:
    """The content of a record so far."""

    commands: int = 0
    requests: int = 0
    #: requests that no event brought, of those that the driver was seen to work off
    missed_requests: int = 0
    devices: set[str] = field(default_factory=set)
    #: devices that are told by an address alone
    unnamed: set[str] = field(default_factory=set)
    #: reasons why the record has gaps, each with how often it came
    gaps: dict[str, int] = field(default_factory=dict)


class Journal:
    """Takes events in the order of their times, and writes the trace.

    ``notifier`` is the place of the notifier of page requests in the device's structure, None where it is not known.
    ``fresh``: the driver was not loaded when the record began, so that each device sends commands before its first page
    request, which shows that place. ``only`` is the name of the machine's only function, for kernels whose types do not
    tell names. With ``addresses`` the pages that a TAKE returned follow its answer.
    """

    def __init__(
        self,
        writer: RecordWriter,
        *,
        notifier: int | None,
        fresh: bool,
        only: str | None = None,
        addresses: bool = False,
    ) -> None:
        self._writer = writer
        self._notifier = notifier
        self._fresh = fresh
        self._only = only
        self._addresses = addresses
        self._pending: dict[int, _Pending] = {}
        self._returning: dict[int, _Returning] = {}
        self._devices: dict[int, str] = {}
        self._requests: defaultdict[str, Requests] = defaultdict(Requests)
        self._next = 1
        self._time = 0.0
        self.counts = Counts()

    def see(self, event: Call | Lost | Garbled) -> None:
        """Take one event."""
        match event:
            case Call():
                self._time = max(self._time, event.time)
                self._called(event)
            case Lost(count):
                for requests in self._requests.values():
                    requests.forget()
                self.gap(f"{'some' if count is None else count} events were overwritten before they were read")
            case Garbled(text):
                self.gap(f"a line of the kernel cannot be read: {text[:120]!r}")

    def gap(self, why: str, times: int = 1) -> None:
        """Events are missing here: what the record has of commands under way is not to be trusted.

        ``times`` is 0 where the same reason was counted before.
        """
        self._writer.lost(self._time, why)
        self.counts.gaps[why] = self.counts.gaps.get(why, 0) + times
        self._pending.clear()
        self._returning.clear()

    def end(self) -> None:
        """Write what was held back: commands that are still under way stay without an answer."""
        for task in list(self._returning):
            self._counted(task)

    def _called(self, call: Call) -> None:
        if call.event is not Event.FREED:
            self._counted(call.task)
        match call.event:
            case Event.COMMAND | Event.LONG_COMMAND:
                self._sent(call)
            case Event.ANSWER | Event.LONG_ANSWER:
                self._answered(call)
            case Event.REQUEST:
                self._requested(call)
            case Event.WORKED_OFF:
                self._worked_off(call)
            case Event.FREED:
                self._freed(call)

    # -- commands

    def _sent(self, call: Call) -> None:
        before = self._pending.pop(call.task, None)
        if before is not None:
            self._undone(before, "its answer is not in the record")
        head, size, address = call.bytes_of("head", "body"), call.number("size"), call.number("dev")
        if head is None or size is None or address is None:
            self.gap("a command could not be read")
            return
        data = head[:size]
        pending = _Pending(
            self._next,
            self._named(address, call.text("name")),
            int.from_bytes(data[:2], "big"),
            int.from_bytes(data[6:8], "big"),
            call.number("reply") or 0,
            _gives(data),
        )
        self._next += 1
        if len(self._pending) >= MAX_CALLS:
            self.gap(f"more than {MAX_CALLS} calls under way")
        self._pending[call.task] = pending
        self.counts.commands += 1
        self._writer.submit(call.time, pending.device, pending.id, Part(data, size), pending.reply)

    def _answered(self, call: Call) -> None:
        """The call returned; an answer to a command that began before the record is left out."""
        pending = self._pending.pop(call.task, None)
        if pending is None:
            return
        data, ret = call.bytes_of("head", "body"), call.number("ret")
        if ret not in (0, _REFUSED):
            self._failed(pending, ret)
        elif data is None:
            self._undone(pending, "the answer could not be read")
        elif pending.crossed and not call.completed:
            self.gap(f"{_NOT_SEEN} completed a GIVE, and all pages of its function were released meanwhile")
        elif self._addresses and _returns_pages(pending, data):
            count = int.from_bytes(data[_COUNT], "big")
            self._returning[call.task] = _Returning(pending, call.time, data[:_HEAD_BYTES], count)
        else:
            self._complete(call.time, pending, data)

    def _failed(self, pending: _Pending, ret: int | None) -> None:
        if ret == -errno.ETIMEDOUT:
            self._writer.given_up(self._time, pending.device, pending.id, "the driver's call timed out")
            return
        words = "an error" if ret is None else errno.errorcode.get(-ret, str(ret))
        self._undone(pending, f"the driver's call returned {words}")

    def _undone(self, pending: _Pending, why: str) -> None:
        self._writer.undone(self._time, pending.device, pending.id, why)
        gap = f"{opcode_name(pending.opcode)}: {why}"
        self.counts.gaps[gap] = self.counts.gaps.get(gap, 0) + 1

    def _complete(self, time: float, pending: _Pending, data: bytes, length: int | None = None) -> None:
        """Write the answer: without addresses a TAKE's is as long as the room for it, and is there in part."""
        whole = pending.reply if length is None else length
        if pending.gives is not None:
            self._requests[pending.device].given(*pending.gives, time)
        self._writer.complete(time, pending.device, pending.id, Part(data[:whole], whole))

    # -- pages that came back, one by one

    def _freed(self, call: Call) -> None:
        """The driver takes a page back into its books: the next one of the TAKE that this task sent."""
        returning, address = self._returning.get(call.task), call.number("address")
        if returning is None or address is None:
            return
        returning.addresses.append(address)
        if len(returning.addresses) == returning.count:
            del self._returning[call.task]
            pages = b"".join(a.to_bytes(8, "big") for a in returning.addresses)
            data = returning.head + pages
            self._complete(returning.time, returning.pending, data, len(data))

    def _counted(self, task: int) -> None:
        """Not every page of this task's TAKE was seen: write the count alone."""
        returning = self._returning.pop(task, None)
        if returning is not None:
            self._complete(returning.time, returning.pending, returning.head)

    # -- page requests

    def _requested(self, call: Call) -> None:
        entry, address = call.bytes_of("entry"), call.number("notified")
        device = self._owner(address, call.text("name"))
        if entry is None or device is None:
            self.gap("a page request could not be read, or nothing tells its device")
            return
        self._came(call.time, device, entry)
        request = decode_page_request(entry)
        if request is not None:
            self._requests[device].came(request, call.time)
            self._released(device, request)

    def _came(self, time: float, device: str, entry: bytes) -> None:
        self.counts.requests += 1
        self._writer.event(time, device, entry)

    def _released(self, device: str, request: PageRequestEvent) -> None:
        """All pages of a function may be: the GIVEs to it that are under way are crossed."""
        for pending in self._pending.values() if request.release_all else ():
            if (pending.device, pending.gives) == (device, (request.number, request.ec)):
                pending.crossed = True

    def _worked_off(self, call: Call) -> None:
        """The driver works a request off: where no event brought it, this one does."""
        address, request = call.number("dev"), _request(call)
        # a device that has sent commands shows the layout of the work item
        if address is None or request is None or address not in self._devices:
            self.gap("a page request that the driver works off could not be read")
            return
        device = self._named(address, call.text("name"))
        seen = self._requests[device].worked_off(request, call.time)
        if seen is Seen.YES:
            return
        self.counts.missed_requests += 1
        if seen is Seen.MISSED:
            self._came(call.time, device, encode_page_request(request))
        else:
            self.gap(f"{_NOT_SEEN} brought a page request that the driver works off")

    def _owner(self, address: int | None, label: str | None) -> str | None:
        """The device of this notifier; None where nothing tells it."""
        if address is None:
            return None
        if self._notifier is None and self._fresh:
            below = [address - a for a in self._devices if 0 <= address - a < _MOST_BYTES]
            self._notifier = min(below, default=None)
        if self._notifier is None:
            return self._only
        if label is None and self._fresh and address - self._notifier not in self._devices:
            return self._only
        return self._named(address - self._notifier, label)

    def _named(self, address: int, label: str | None) -> str:
        """The device whose structure is at this address."""
        known = label if label is not None and _NAME.fullmatch(label) else self._devices.get(address) or self._only
        if known is None:
            known = f"unnamed-{len(self.counts.unnamed) + 1}"
            self.counts.unnamed.add(known)
        if len(self._devices) >= MAX_DEVICES:
            self._devices.clear()
        self._devices[address] = known
        self.counts.devices.add(known)
        return known


def _request(call: Call) -> PageRequestEvent | None:
    """The request that the driver works off; None where it could not be read."""
    number, ec, pages, release = (call.number(key) for key in ("number", "ec", "pages", "release"))
    if number is None or ec is None or pages is None or release is None:
        return None
    return PageRequestEvent(number, pages, bool(ec), bool(release))


def _gives(data: bytes) -> tuple[int, bool] | None:
    """The function that a command gives pages to, by its number and its bit, if it does."""
    head = data[:_HEAD_BYTES]
    kind = (int.from_bytes(head[:2], "big"), int.from_bytes(head[6:8], "big"))
    if kind != (Opcode.MANAGE_PAGES, ManagePages.GIVE) or len(head) < _HEAD_BYTES:
        return None
    command = decode_command(head)
    return command["function_id"], bool(command["embedded_cpu_function"])


def _returns_pages(pending: _Pending, data: bytes) -> bool:
    """A TAKE that was answered OK, and brought pages."""
    take = pending.opcode == Opcode.MANAGE_PAGES and pending.op_mod == ManagePages.TAKE
    return take and data[_STATUS] == 0 and any(data[_COUNT])
