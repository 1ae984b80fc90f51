"""The device's end reads what an unmodified Linux wrote, where it wrote it, and writes back what Linux then read."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import pytest

from fwpages.device import Completed, Effect, Firmware, Input, Phase, Submitted
from fwpages.link.memory import Memory
from fwpages.link.queue.device import QueueDevice
from fwpages.link.queue.offences import WireOffence
from fwpages.prm.mailbox import ALIGNMENT
from fwpages.prm.message import Command, decode_answer, decode_command
from fwpages.prm.queue import CMDQ_ENTRY, MAILBOX, MAILBOX_DATA, input_message, mailboxes_for, output_message
from tests.prm.golden_dumps import QueueDump, dumps

#: where Linux said that its queue is, in the same log
QUEUE = 0x2705000
PAIRS = [(a, b) for a, b in pairwise(dumps()) if a.is_input and not b.is_input and a.entry[60] == b.entry[60]]


class Recorded:
    """Answers as the device of the recording did."""

    deadline = None
    checksums = False
    phase = Phase.WORKING
    eqs: dict[int, object] = {}  # noqa: RUF012

    def __init__(self, answer: bytes, opcode: int) -> None:
        self.answer = decode_answer(opcode, answer)
        self.seen: list[Command] = []
        self.reply_length = 0

    def feed(self, _: float, x: Input) -> list[Effect]:
        assert isinstance(x, Submitted)
        self.seen.append(x.command)
        self.reply_length = x.reply_length
        return [Completed(x.id, self.answer)]


def lay(memory: Memory, at: int, blocks: tuple[bytes, ...], *, data: bool) -> None:
    """Mailboxes where their chain says; without their data, what a driver prepares for an answer."""
    for block in blocks:
        assert at % ALIGNMENT == 0
        memory.write(at, block if data else bytes(MAILBOX_DATA) + block[MAILBOX_DATA:])
        at = MAILBOX.unpack(block)["next"]


@pytest.mark.parametrize(("sent", "back"), PAIRS, ids=lambda d: f"{d.slot}-{d.entry[60]}")
def test_a_command_of_linux(sent: QueueDump, back: QueueDump) -> None:
    memory = Memory()
    memory.map(0, 1 << 28)
    e = CMDQ_ENTRY.unpack(sent.entry)
    out = output_message(back.entry, back.blocks)
    memory.write(QUEUE + sent.slot * 64, sent.entry)
    lay(memory, e["input_mailbox"], sent.blocks, data=True)
    lay(memory, e["output_mailbox"], back.blocks, data=False)
    command = decode_command(input_message(sent.entry, sent.blocks))
    recorded = Recorded(out, command.opcode)
    offences: list[object] = []
    device = QueueDevice(cast("Firmware", recorded), memory, lambda _: None, watch=offences.append)
    device.write(0x10, bytes(4))
    device.write(0x14, QUEUE.to_bytes(4, "big"))
    device.write(0x18, (1 << sent.slot).to_bytes(4, "big"))
    assert device.step(0.0)
    assert not [x for x in offences if isinstance(x, WireOffence)]
    assert (recorded.seen, recorded.reply_length) == ([command], e["output_length"])
    entry = memory.read(QUEUE + sent.slot * 64, 64)
    # the device that was watched left the driver's signature as it was
    assert entry[:61] + entry[62:] == back.entry[:61] + back.entry[62:]
    at, got = e["output_mailbox"], []
    for _ in range(mailboxes_for(e["output_length"])):
        got.append(memory.read(at, 576))
        at = MAILBOX.unpack(got[-1])["next"]
    assert output_message(entry, got) == out
    assert [b[MAILBOX_DATA:] for b in got] == [b[MAILBOX_DATA:] for b in back.blocks], "control parts are the driver's"


def test_the_recording_has_commands_enough() -> None:
    assert len(PAIRS) > 30
    assert max(len(a.blocks) for a, _ in PAIRS) == 39
    assert max(len(b.blocks) for _, b in PAIRS) == 12
