"""rdma-core's user-space driver (``mlx5dv`` on VFIO) in a guest, behind a virtual IOMMU, on the served device."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import SessionAccount
from fwpages.device.profiles import profile
from fwpages.trial.errors import MissingError
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.guest import VFIO, Job, Ran, finish
from tests.vm.lab import OPEN, PF, scenario
from tests.vm.rdma_core import bound, compiled, start

BOOT, INIT = 37, 2000
START = BOOT + INIT
#: seconds after which a request without an answer counts, and one more
UNANSWERED = 6


@pytest.fixture(autouse=True)
def _there() -> None:
    try:
        compiled()
    except MissingError as e:
        if os.environ.get("FWPAGES_REQUIRE_DRIVERS"):
            pytest.fail(str(e))
        pytest.skip(str(e))


@contextmanager
def machine(k: Kernel, folder: Path, text: str = PF) -> Iterator[tuple[Lab, Guest, str]]:
    """A device in a machine that has it on vfio-pci; its address there."""
    with Lab(scenario(text, steps=OPEN), folder) as lab, lab.guest(k, VFIO) as g:
        yield lab, g, bound(g)


def opened(lab: Lab, g: Guest, job: Job, number: int = 1) -> None:
    """Wait until the program has its objects, and the device a queue for page requests."""
    lab.sessions(number)
    # a command that is under way when a request comes would be part of the story
    lab.wait(lambda: g.run(f"[ -s {job.name}.out ] || ! kill -0 {job.pid}").status == 0)
    assert lab.serving.observer.open, g.ok(f"cat {job.name}.err")
    assert lab.held() == {"self": START}


def ended(lab: Lab, g: Guest, ran: Ran) -> dict[str, int]:
    """The report of a program that ended well, once the kernel has reset the device behind it."""
    assert (ran.status, ran.stderr) == (0, ""), ran
    lab.wait(lambda: lab.session.end != "open")
    assert (lab.session.end, lab.held()) == ("reset", {})
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def judged(lab: Lab, folder: Path) -> list[SessionAccount]:
    """The sessions in the audit of the trace, whose books are those of the device."""
    path = folder / "whole.jsonl"
    path.write_text(lab.trace())
    sessions = audit(path).sessions
    served = lab.serving.observer.sessions
    assert [(s.totals.given, s.totals.returned) for s in sessions] == [
        (s.total("given"), s.total("returned")) for s in served
    ]
    return sessions


def found(account: SessionAccount) -> set[tuple[str, str, int | None]]:
    """The findings of a session: name, blame, pages; no two are the same."""
    rows = {(str(f.name), str(f.blame), f.pages) for f in account.findings}
    assert len(rows) == len(account.findings)
    return rows


def offences(lab: Lab) -> list[str]:
    """The names of the driver's offences as the server has them."""
    return [words.partition(":")[0] for words in lab.offences]


def test_its_first_page_lies_at_address_0_and_above_that_it_works(new: Kernel, tmp_path: Path) -> None:
    """Firmware takes no page at 0. Then: every kind of object, page requests, a TAKE; the close lets all memory go."""
    with machine(new, tmp_path) as (lab, g, address):
        failed = finish(g, start(g, address, above_zero=False), stop="")
        assert (failed.status, failed.stdout) == (1, "")
        assert failed.stderr.startswith("ibv_open_device: ")
        lab.wait(lambda: lab.session.end != "open")

        job = start(g, address, above_zero=True)
        opened(lab, g, job, 2)
        lab.want(vf0=3000)
        lab.until({"self": START, "vf0": 3000})
        lab.want(vf0=-1000)
        lab.until({"self": START, "vf0": 2000})
        assert ended(lab, g, finish(g, job, stop="TERM")) == {"errors": 0}
    assert offences(lab) == ["bad-address", "memory-let-go", "memory-let-go"]
    first, second = judged(lab, tmp_path)
    assert found(first) == {("give-refused", "host", BOOT), ("bad-address", "host", 1)}
    assert found(second) == {("memory-let-go", "host", 2000), ("memory-let-go", "host", START)}


def test_of_four_page_requests_at_once_it_answers_two_and_loses_two(new: Kernel, tmp_path: Path) -> None:
    """One command is under way and one waits; a third and a fourth are lost, and firmware waits for them."""
    with machine(new, tmp_path) as (lab, g, address):
        job = start(g, address, above_zero=True)
        opened(lab, g, job)
        g.ok(f"kill -STOP {job.pid}")
        lab.want(vf0=10, vf1=20, sf0=30, self=40)
        g.ok(f"kill -CONT {job.pid}")
        lab.until({"self": START, "vf0": 10, "vf1": 20})
        g.ok(f"sleep {UNANSWERED}")
        assert lab.held() == {"self": START, "vf0": 10, "vf1": 20}
        assert ended(lab, g, finish(g, job, stop="TERM")) == {"errors": 2}
    assert offences(lab) == ["request-unanswered"] * 2 + ["memory-let-go"] * 3
    (only,) = judged(lab, tmp_path)
    assert found(only) == {
        *(("request-unanswered", "host", pages) for pages in (30, 40)),
        *(("memory-let-go", "host", pages) for pages in (10, 20, START)),
    }


def _with_bit_0x111(folder: Path, fast: int) -> str:
    """A scenario's text with a device that has this bit, as hardware by its name, and a fast teardown or none."""
    shipped = profile("connectx7")
    page = (1 << (0x1000 * 8 - 1 - 0x111) | 1 << (0x1000 * 8 - 1 - 0x252)).to_bytes(0x1000, "big")
    text = "\n".join(
        [
            'name = "with-bit"', 'description = "connectx7 with bit 0x111"',
            f"boot_pages = {BOOT}", f"init_pages = {INIT}", "vhca_id = 0x2a", "max_vfs = 127",
            "[max]", *(f"{k} = {fast if k == 'fast_teardown' else v}" for k, v in shipped.max.items()),
            "[current]", *(f"{k} = {fast if k == 'fast_teardown' else v}" for k, v in shipped.current.items()),
            "[pages]", *(f'"general.{kind}" = "{page.rstrip(bytes(1)).hex()}"' for kind in ("max", "current")),
        ]
    )  # fmt: skip
    path = folder / "with-bit.toml"
    path.write_text(text + "\n")
    return f'[device]\nprofile = "{path}"\n{{capabilities}}\n{{steps}}'


@pytest.mark.parametrize("fast", [1, 0])
def test_bit_0x111_decides_how_it_closes(new: Kernel, tmp_path: Path, fast: int) -> None:
    """It takes that bit for ``fast_teardown``, which is bit 0xfb. A fast teardown lets go of all memory in time."""
    with machine(new, tmp_path, _with_bit_0x111(tmp_path, fast)) as (lab, g, address):
        job = start(g, address, above_zero=True)
        opened(lab, g, job)
        assert ended(lab, g, finish(g, job, stop="TERM")) == {"errors": 0}
    (only,) = judged(lab, tmp_path)
    if fast:
        assert (found(only), offences(lab), only.verdict) == (set(), [], "clean")
    else:
        assert offences(lab) == ["teardown-not-offered", "memory-let-go"]
        assert found(only) == {("teardown-not-offered", "host", None), ("memory-let-go", "host", START)}
