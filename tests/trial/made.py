"""Plays that tests make up: a sound one, with what a test changes of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fwpages.custody.accounts import Verdict
from fwpages.report.serve import ServedExcuse, ServedOffence, ServedSessionAccount, ServedStrike, ServeReport
from fwpages.scenario.fault_syntax import EVERY_FAULT, fault
from fwpages.scenario.observer import End, Trouble
from fwpages.trial.rows import Row
from fwpages.trial.seen import Halt, Instruments, Outcome, Seen, Stage, StageSeen

LOGS = Path(__file__).parent / "logs"
#: the driver's first line of a load
DRIVER_LINE = "[   15.454156] mlx5_core 0000:01:00.0: firmware version: 28.39.1002\n"


def log(name: str) -> str:
    """A part of the log of Linux 7.2.13 (or as named) under a fault, without its registers."""
    return (LOGS / f"{name}.txt").read_text()


def session(
    *,
    number: int = 1,
    end: End = "closed",
    held: int = 0,
    dropped: bool = False,
    trouble: Trouble | None = None,
    memory: str = "judged",
    let_go: int = 0,
) -> ServedSessionAccount:
    """A session in which a PF was given 1,037 pages, ``held`` of which it has at the end."""
    return ServedSessionAccount(
        number=number,
        begun=1.0,
        mode="vhca_id",
        end=end,
        ended=20.0,
        commands=200,
        requests=0,
        refused=0,
        functions={},
        identities={},
        up=3.0,
        trouble=trouble,
        given=1037,
        returned=1037 - held,
        released=0,
        held=held,
        dropped=dropped,
        verdict=Verdict.CLEAN,
        clean=True,
        memory=memory,
        let_go=let_go,
    )


def strike(name: str, session: int = 1) -> ServedStrike:
    """A fault that took effect once."""
    return ServedStrike(fault=name, words=EVERY_FAULT[name].words, times=1, first=1.5, session=session)


def served(
    *sessions: ServedSessionAccount,
    strikes: Iterable[ServedStrike] = (),
    offences: Iterable[ServedOffence] = (),
    excused: Iterable[tuple[str, str]] = (),
) -> ServeReport:
    """The device's report; ``excused`` are names of offences, with the fault that each was because of."""
    on_purpose = list(strikes)
    return ServeReport(
        scenario="made",
        verdict=Verdict.CLEAN,
        clean=True,
        missing=[],
        summary="",
        commands=200,
        seconds=30.0,
        sessions=list(sessions),
        offences=list(offences),
        excused=[ServedExcuse(session=1, name=name, fault=by, detail="EQ 3") for name, by in excused],
        faults=[s.fault for s in on_purpose],
        unfollowed=[],
        missed=[],
        on_purpose=on_purpose,
    )


def play(label: str, *, console: str = DRIVER_LINE, held: int = 0, report: ServeReport | None = None) -> Seen:
    """A play of this fault (``none``: without any) to its end, in which the driver left ``held`` pages."""
    row = Row(None if label == "none" else fault(label))
    if report is None:
        report = served(session(held=held), strikes=[] if row.fault is None else [strike(row.fault.name)])
    return Seen(
        row=row,
        stages=tuple(StageSeen(stage, Outcome.DONE, 1.0) for stage in Stage),
        readings=(),
        console=console,
        lost=0,
        served=report,
        halt=Halt.OFF,
        kernel="7.2.13",
        instruments=Instruments(True, False, False, False, True, True, True),
    )
