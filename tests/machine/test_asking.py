"""Firmware is asked how many pages a function has only when told to, only where it is healthy, and never for long."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

import fwpages as fw
from fwpages.cli import invoke
from fwpages.custody.accounts import Verdict
from fwpages.machine import asking, sampling
from fwpages.machine.asking import Asker
from fwpages.machine.devlink import Message, ask, over
from fwpages.machine.snapshot import FirmwareAnswer, Untold
from fwpages.machine.tree import Tree
from tests.machine.trees import Machine

#: what an unmodified Linux 7.2.13 answered in a virtual machine, message by message, by the reporter that was named
HEALTH = {
    "fw": [
        "6c00000018000000070000008d00000034010000080001007063690011000200303030303a30313a30302e30000000000800b80000000000"
        "34007200070073006677000005007400000000000c00750000000000000000000c007600000000000000000005008d0001000000"
    ],
    "fw_fatal": [
        "9400000018000000070000008d00000034010000080001007063690011000200303030303a30313a30302e30000000000800b80000000000"
        "5c0072000d00730066775f666174616c0000000005007400000000000c00750000000000000000000c00760000000000000000000c007800"
        "60ea0000000000000c00b5000000000000000000050079000100000005008d0001000000"
    ],
}
CONSUMPTION = (
    "7400000018000200070000008d0000003701000060006a0004006b0004006c0016006f00764e494320656e7620636f756e74657273000000"
    "04006b0004006c0014006f0069636d5f636f6e73756d7074696f6e000500700003000000080071006932000004006e0004006e0004006e00"
    "04006e00"
)
#: the same of a firmware that does not have the register
NOTHING = (
    "4800000018000200070000008d0000003701000034006a0004006b0004006c0016006f00764e494320656e7620636f756e74657273000000"
    "04006b0004006e0004006e0004006e00"
)
ANSWERS: Mapping[str, list[str]] = HEALTH | {"vnic": [CONSUMPTION]}


@dataclass
class Kernel:
    """The kernel's end of netlink: it decodes each request from its bytes, and answers with bytes or an error."""

    answers: Mapping[str, list[str]]
    errors: Mapping[str, int] = field(default_factory=dict)
    asked: list[tuple[int, str, str, str]] = field(default_factory=list)
    prid: int = 24

    def nlm_request(self, message: Any, *, msg_type: int, msg_flags: int) -> Iterator[Any]:
        message["header"]["type"], message["header"]["flags"] = msg_type, msg_flags
        message.encode()
        request: Any = Message(bytes(message.data))
        request.decode()
        name = request.get_attr("REPORTER_NAME")
        self.asked.append((request["cmd"], request.get_attr("BUS"), request.get_attr("DEVICE"), name))
        if name in self.errors:
            raise NetlinkError(self.errors[name], "")
        for text in self.answers[name]:
            answer: Any = Message(bytes.fromhex(text))
            answer.decode()
            yield answer


def answer(kernel: Kernel) -> FirmwareAnswer:
    return ask(over(kernel), "pci", "0000:01:00.0")


def test_a_healthy_function_is_asked_once(tmp_path: Path) -> None:
    kernel = Kernel(ANSWERS)
    assert answer(kernel) == FirmwareAnswer(pages=12_905)
    who = ("pci", "0000:01:00.0")
    assert kernel.asked == [(52, *who, "fw"), (52, *who, "fw_fatal"), (55, *who, "vnic")]


@pytest.mark.parametrize("name", list(HEALTH))
def test_firmware_is_not_asked_where_a_reporter_says_that_it_is_not_healthy(name: str) -> None:
    ill = HEALTH[name][0].replace("0500740000000000", "0500740001000000")
    assert ill != HEALTH[name][0]
    kernel = Kernel({**ANSWERS, name: [ill]})
    assert answer(kernel) == FirmwareAnswer(not_known=Untold.UNHEALTHY)
    assert 55 not in {command for command, *_ in kernel.asked}


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("fw", errno.EINVAL, Untold.NO_HEALTH),
        ("fw_fatal", errno.EOPNOTSUPP, Untold.NO_HEALTH),
        ("fw", errno.ENODEV, Untold.GONE),
        ("vnic", errno.EINVAL, Untold.ABSENT),
        ("vnic", errno.EPERM, Untold.DENIED),
        ("vnic", errno.EIO, f"{Untold.FAILED}: EIO"),
    ],
)
def test_an_error_of_the_kernel_is_a_reason(name: str, code: int, reason: str) -> None:
    kernel = Kernel(ANSWERS, {name: code})
    assert answer(kernel) == FirmwareAnswer(not_known=reason)
    assert kernel.asked[-1][-1] == name


@pytest.mark.parametrize(
    "messages",
    [
        [NOTHING],
        [],
        [CONSUMPTION.replace("69636d5f", "69636e5f")],  # the value of another name
        [CONSUMPTION.replace("08007100", "04006e00")],  # a name without a value
        ["1400000018000200070000008d00000037010000"],  # nothing at all
    ],
    ids=["no register", "no message", "another name", "no value", "empty"],
)
def test_a_figure_that_is_not_there_is_not_known(messages: list[str]) -> None:
    assert answer(Kernel({**ANSWERS, "vnic": messages})) == FirmwareAnswer(not_known=Untold.ABSENT)


def message(content: str) -> str:
    """A message of devlink with this content of a formatted message."""
    size = len(content) // 2 + 4
    return f"{20 + size:02x}00000018000200070000008d00000037010000{size:02x}006a00{content}"


def test_an_answer_that_is_cut_into_messages_is_read_whole() -> None:
    rest = CONSUMPTION[CONSUMPTION.index("14006f00") :]
    first, second = (message("04006b0004006c0004006b0004006c00"), message(rest))
    assert answer(Kernel({**ANSWERS, "vnic": [first, second]})) == FirmwareAnswer(pages=12_905)


# -- another process ---------------------------------------------------------------------------------------------------

_SAID = "print(); print('{\"pages\": 7}', flush=True); "


def asker(code: str, limit: float = 30.0) -> Asker:
    """Asks a program that is this Python code."""
    return Asker([sys.executable, "-c", code], limit)


def test_each_answer_is_known_as_soon_as_it_is_there() -> None:
    assert asker(_SAID + _SAID.replace("print(); ", "")).ask(["pci/a", "pci/b"]) == [FirmwareAnswer(pages=7)] * 2


def test_who_does_not_answer_in_time_is_not_waited_for() -> None:
    answers = asker(_SAID + "import time; time.sleep(600)", 0.2).ask(["pci/a", "pci/b"])
    assert answers == [FirmwareAnswer(pages=7), FirmwareAnswer(not_known=Untold.LATE)]


def test_while_a_question_is_stuck_no_other_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Popen[bytes]] = []
    with monkeypatch.context() as patch:
        # a process that waits in the kernel for a lock does not end when it is killed
        patch.setattr(Popen, "kill", lambda self: started.append(self))  # noqa: PLW0108  # it has to be bound
        a = asker("print(flush=True); import time; time.sleep(600)", 0.05)
        assert a.ask(["pci/a"]) == [FirmwareAnswer(not_known=Untold.LATE)]
        assert a.ask(["pci/a"]) == [FirmwareAnswer(not_known=Untold.STUCK)]
        assert len(started) == 1
    started[0].kill()
    started[0].wait(30)
    assert a.ask(["pci/a"]) == [FirmwareAnswer(not_known=Untold.LATE)]


def test_a_process_that_fails_is_said() -> None:
    answers = asker(_SAID + "raise SystemExit(9)").ask(["pci/a", "pci/b"])
    assert answers == [
        FirmwareAnswer(pages=7),
        FirmwareAnswer(not_known=f"{Untold.FAILED}: its process ended with code 9"),
    ]


def test_the_program_that_asks_answers_for_every_function() -> None:
    """On a machine without such a device, or without devlink: each has a reason."""
    answers = Asker().ask(["pci/0000:00:00.9", "auxiliary/mlx5_core.sf.99"])
    assert {a.not_known for a in answers} <= {Untold.NO_DEVLINK, Untold.GONE, Untold.DENIED}
    assert len(answers) == 2


# -- snapshots ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A tree that passes for this machine, with a PF and an SF."""
    m = Machine(tmp_path / "machine", "7.2")
    m.pci("0000:01:00.0")
    m.counters("0000:01:00.0", 100)
    m.sf("mlx5_core.sf.4", of="0000:01:00.0")
    m.counters("mlx5_core.sf.4", 3)
    monkeypatch.setattr(Tree, "live", True)
    return m


def says(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(sampling, "ASKER", asker(code))


def test_firmwares_answer_stands_beside_the_drivers_count(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, "import sys; print(); [print('{\"pages\": %d}' % len(a)) for a in sys.argv[1:]]")
    s = fw.machine.counters(machine.root, ask_firmware=True)
    assert {f.device: f.firmware for f in s.functions} == {
        "0000:01:00.0": FirmwareAnswer(pages=len("pci/0000:01:00.0")),
        "mlx5_core.sf.4": FirmwareAnswer(pages=len("auxiliary/mlx5_core.sf.4")),
    }
    assert s.verdict is Verdict.CONSISTENT


def test_an_answer_that_was_asked_for_and_is_not_there_makes_the_report_not_known(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "find_spec", lambda _: None)
    s = fw.machine.counters(machine.root, ask_firmware=True)
    [missing] = s.missing
    assert (missing.what, missing.command) == (
        f"what firmware says of 0000:01:00.0, mlx5_core.sf.4: {Untold.NO_LIBRARY}",
        "pip install 'fwpages[devlink]'",
    )
    assert s.verdict is Verdict.NOT_KNOWN


def test_firmware_is_not_asked_unless_one_says_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "ASKER", None)
    assert [f.firmware for f in fw.machine.counters(machine.root).functions] == [None, None]


def test_a_copys_firmware_cannot_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="this machine"):
        fw.machine.counters(tmp_path, ask_firmware=True)
    assert invoke(["top", "--once", "--ask-firmware", "--root", str(tmp_path)]) == 2
    assert "--replay or --root" in capsys.readouterr().err


def test_the_table_has_what_firmware_answered(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says(monkeypatch, 'print(); print(\'{"pages": 12905}\'); print(\'{"not_known": "a reason"}\')')
    monkeypatch.setattr(
        "fwpages.cli.top.counters", lambda _, ask_firmware: fw.machine.counters(machine.root, ask_firmware=ask_firmware)
    )
    assert invoke(["top", "--once", "--ask-firmware"]) == 4
    out = capsys.readouterr().out
    assert "0000:01:00.0  firmware says that the function itself uses 12,905 pages (50.4 MiB)" in out
    assert "missing: what firmware says of mlx5_core.sf.4: a reason" in out
