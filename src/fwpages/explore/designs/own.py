"""Our own host as the explorer drives it: the host unchanged, behind the protocol of ``Driver``."""

from __future__ import annotations

from dataclasses import replace

from fwpages.explore.model.driver import DriverConfig, Input, NotQueued, Run, View
from fwpages.host import Config, Effect, FunctionsChanged, Host, Misuse
from fwpages.host.io import Operation, OperationKind
from fwpages.host.page_path import type_of
from fwpages.host.session import Phase
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.prm.identity import FunctionType, Identity, Mode
from fwpages.prm.message import Command
from fwpages.prm.opcodes import op_mod_suffix, opcode_name


class Own:
    """fwpages' host. It has no threads: each input is served whole. Host pages are 4 KiB whatever ``page_shift``."""

    def __init__(self, config: DriverConfig | None = None) -> None:
        c = config or DriverConfig()
        self.host = Host(Config(c.supplier, c.base, c.bounds))

    @property
    def ordered(self) -> bool:
        """Its link feeds events before the completion that it saw after them."""
        return True

    @property
    def deadline(self) -> float | None:
        """See ``Host.deadline``."""
        return self.host.deadline

    @property
    def next_id(self) -> int:
        """See ``Driver.next_id``."""
        return self.host.next_id

    def pending(self) -> tuple[int, ...]:
        """See ``Driver.pending``."""
        return tuple(sorted(self.host.flights))

    def threads(self) -> tuple[str, ...]:
        """No threads."""
        return ()

    def feed(self, now: float, x: Input) -> list[Effect]:
        """One input. A request that cannot be queued meets a queue that is full."""
        if isinstance(x, Run):
            raise Misuse(f"there is no thread {x.thread}: every input is served whole")
        if isinstance(x, FunctionsChanged):  # no caller enables the uplink, nor an ECPF by its vport
            x = FunctionsChanged(tuple(v for v in x.vports if v.type is not FunctionType.UNKNOWN))
        if not isinstance(x, NotQueued):
            return self.host.feed(now, x)
        kept = self.host.config
        self.host.config = replace(kept, bounds=replace(kept.bounds, queue=0))
        try:
            return self.host.feed(now, x.request)
        finally:
            self.host.config = kept

    def clone(self) -> Own:
        """A host of its own in the same state."""
        new = Own.__new__(Own)
        new.host = self.host.clone()
        return new

    def key(self) -> bytes:
        """See ``Host.key``."""
        return self.host.key()

    def unordered_key(self) -> bytes:
        """See ``Driver.unordered_key``."""
        return self.host.key(by_slot=True)

    def slots(self) -> dict[int, int]:
        """See ``Driver.slots``."""
        return {n: flight.slot for n, flight in self.host.flights.items()}

    def constants(self) -> tuple[object, ...]:
        """The configuration."""
        c = self.host.config
        return c, c.supplier, c.bounds

    def check(self) -> None:
        """See ``Host.check``."""
        self.host.check()

    def is_free(self, addresses: Addresses) -> Mask:
        """See ``Host.is_free``."""
        return self.host.is_free(addresses)

    def held(self) -> dict[Identity, Addresses] | None:
        """See ``Host.held``."""
        return self.host.held()

    def counted_as(self, who: Identity) -> str:
        """The type of the record that pages given now go to; where there is no such record, that of pages still out."""
        records = self.host.records
        number = records.current.get(who)
        if number is not None:
            return records.rows[number].type
        out = [records.rows[n].type for n in records.generations(who) if records.rows[n].outstanding]
        return out[-1] if out else type_of(self.host, who)

    def view(self) -> View:
        """Counters are sums over records: pages out, those that are doubtful included."""
        h = self.host
        s = h.session
        counters = {"total": h.records.out} | {str(t): h.records.by_type.get(t, (0, 0))[0] for t in FunctionType}
        busy = [program.operation(subject) for program, subject in s.queue]
        if s.progress is not None:
            busy.insert(0, s.progress.operation)
        busy += [w.operation for w in s.waits]
        if s.phase is Phase.FENCING:
            busy.append(Operation(OperationKind.OPEN if s.failure else OperationKind.CLOSE))
        if h.reopen is not None:
            busy.append(Operation(OperationKind.OPEN))
        waiting = {f"slot {f.slot}": f"answer to {_name(f.command)}" for f in h.flights.values()}
        return View(s.mode or Mode.FUNC_ID, s.phase is Phase.OPEN, counters, tuple(dict.fromkeys(busy)), waiting)


def _name(c: Command) -> str:
    return opcode_name(c.opcode) + op_mod_suffix(c.opcode, c.op_mod)
