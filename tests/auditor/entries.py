"""Queue entries and mailboxes as a kernel dumps them, for commands and answers that a test thinks of."""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.queue import CMDQ_ENTRY, INLINE, MAILBOX_DATA, MAILBOX_SIZE
from fwpages.readers.dumps import Dumps
from fwpages.readers.observations import CommandCompleted, CommandSubmitted, MissingInput, Observation, Place
from tests.auditor.written_traces import pages

QUERY = encode_command(Command(Opcode.QUERY_PAGES, QueryPages.BOOT))
ANSWERED = encode_answer(Answer(Opcode.QUERY_PAGES, fields={"num_pages": 7}))
GIVE = encode_command(
    Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"function_id": 0x31, "input_num_entries": 9}, pages(0x100, 9))
)
OK = bytes(16)


def full(message: bytes, *, out: bool) -> bytes:
    """A full dump: the entry, and whole mailboxes whose control bytes are no part of the message."""
    direction = "output" if out else "input"
    head = int.from_bytes(message[:INLINE].ljust(INLINE, b"\0"), "big")
    entry = CMDQ_ENTRY.pack(
        {"type": 7, f"{direction}_length": len(message), direction: head, "ownership": int(not out)}
    )
    blocks = [message[at : at + MAILBOX_DATA] for at in range(INLINE, len(message), MAILBOX_DATA)]
    return entry + b"".join(b.ljust(MAILBOX_DATA, b"\0") + b"\xcc" * (MAILBOX_SIZE - MAILBOX_DATA) for b in blocks)


def entry(command: bytes, answer: bytes, *, ownership: int = 0) -> bytes:
    """The queue entry of a command and its answer, both without mailboxes."""
    head = {"type": 7, "input_length": len(command), "output_length": len(answer), "ownership": ownership}
    lie = {"input": int.from_bytes(command[:16], "big"), "output": int.from_bytes(answer[:16], "big")}
    return CMDQ_ENTRY.pack({**head, **lie})


class Log:
    """A driver's dumps, line by line. Its steps are iterators, so that dumps can take turns."""

    def __init__(self) -> None:
        self.dumps = Dumps("log.txt")
        self.seen: list[Observation] = []
        self.number = 0

    def _place(self) -> Place:
        self.number += 1
        return Place("log.txt", self.number)

    def steps(
        self,
        raw: bytes,
        opcode: int = Opcode.QUERY_PAGES,
        *,
        out: bool = False,
        slot: int | None = 0,
        device: str = "dut",
        data: bool = False,
        drop: tuple[int, ...] = (),
        caller: str | None = None,
    ) -> Iterator[None]:
        d = self.dumps
        self.seen += d.start(self._place(), device, slot, caller)
        yield
        self.seen += d.headline(self._place(), device, slot, opcode, out=out, data_only=data, caller=caller)
        prefix = b"" if caller is None else f"[ 1.0][ {caller}] ".encode()
        for n in range(len(raw) // 16):
            if n not in drop:
                yield
                self.seen += d.line(self._place().line, slot, 16 * n, raw[16 * n : 16 * n + 16], prefix)
        yield
        self.seen += d.end(device, slot)

    def dump(self, *args: object, **rest: object) -> None:
        for _ in self.steps(*args, **rest):  # type: ignore[arg-type]  # the arguments of ``steps``
            pass

    def query(self, slot: int | None = 0, **rest: object) -> None:
        """QUERY_PAGES and its answer."""
        self.dump(entry(QUERY, bytes(16), ownership=1), slot=slot, **rest)
        self.dump(entry(QUERY, ANSWERED), out=True, slot=slot, **rest)

    def finish(self) -> list[Observation]:
        self.seen += self.dumps.finish()
        return self.seen


def pairs(seen: list[Observation]) -> list[tuple[str, bytes, bytes]]:
    """Device, command and answer of all that were answered."""
    sent = {x.key: x for x in seen if isinstance(x, CommandSubmitted)}
    return [(x.device, sent[x.key].message, x.message) for x in seen if isinstance(x, CommandCompleted)]


def losses(seen: list[Observation]) -> list[tuple[str, bool, str]]:
    return [(x.cause.finding, x.harmless, x.detail) for x in seen if isinstance(x, MissingInput)]
