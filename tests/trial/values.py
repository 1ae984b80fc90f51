"""Verdicts and plays of rows, as small as they can be."""

from __future__ import annotations

from fwpages.prm.identity import Mode
from fwpages.scenario.fault_syntax import fault
from fwpages.trial.effects import Causer, Effect, NotJudged
from fwpages.trial.judged import EffectSeen, Judged
from fwpages.trial.played import Campaign, Play, Played, SessionBooks, Versions, unplayed
from fwpages.trial.rows import Row
from fwpages.trial.seen import Instruments, Outcome, Reading, Stage, StageSeen

VERSIONS = Versions(
    fwpages="0.1.0", qemu="QEMU emulator version 11.1.3", kernel="7.2.13", commit="1234567890ab", compiler="gcc 15.2.0"
)


def row(name: str = "give-unanswered-done@runtime", mode: Mode = Mode.VHCA_ID) -> Row:
    return Row(fault(name), mode)


def quiet(of: Row) -> Play:
    """A play in which nothing was seen."""
    return _play(Judged(of, title="no effect seen", on_purpose=("a GIVE is answered late, in time (once)",)))


def shown(of: Row, effect: Effect, *, title: str = "", detail: str = "300 pages, the first 0xff261000") -> Play:
    """A play with this effect and one that is less."""
    seen = (EffectSeen(effect, detail), EffectSeen(Effect.WARNED, "WARNING: pagealloc.c:618 in free_4k"))
    return _play(
        Judged(
            of,
            title=title or f"{effect.value}: {detail}",
            effects=seen,
            on_purpose=("a GIVE is done and never answered (once, first at 39.104 s)",),
            driver_did=("gave the command up after 7 s", "unmapped 300 pages that firmware holds"),
            unseen=("KASAN: the kernel has none",),
            causer=Causer.FIRMWARE,
            questions=(11,),
            path="fwpages explore give-timeout --design merged --replay AAAA",
        )
    )


def unjudged(of: Row, reason: NotJudged, why: str = "") -> Play:
    return unplayed(of, reason, why)


def _play(j: Judged) -> Play:
    return Play(
        j,
        seconds=31.4,
        kernel="7.2.13",
        compiler="gcc 15.2.0",
        instruments=Instruments(slub_debug=True, kasan=False, lockdep=False, strict_iommu=True),
        stages=(StageSeen(Stage.BOOT, Outcome.DONE, 9.1), StageSeen(Stage.LOAD, Outcome.DONE, 4.0)),
        readings=(Reading(Stage.LOAD, {"self": 2037}, {"fw_pages_total": 2037}, 900_000),),
        sessions=(SessionBooks(1, "vhca_id", "closed", 2337, 2037, 0, 300, dropped=False),),
    )


def campaign(*rows: Played, interrupted: str = "") -> Campaign:
    return Campaign(rows, VERSIONS, 93.4, interrupted)


def played(*plays: Play, folder: str = "") -> Played:
    return Played(plays[0].judged.row, plays, folder)


#: one row of each kind that a report tells apart
GOOD = row("give-late@runtime")
LET_GO = row("give-unanswered-done@runtime")
HUNG = row("take-count-huge@teardown")
FLAKY = row("take-short@teardown")
NOT_TRIGGERED = row("enable-refused@runtime")
DIED = row("request-storm@runtime")


def of_each_kind() -> tuple[Played, ...]:
    return (
        played(quiet(GOOD), folder="001-give-late"),
        played(*[shown(LET_GO, Effect.LET_GO)] * 3, folder="002-give-unanswered-done"),
        played(*[shown(HUNG, Effect.HUNG, title="unload does not end")] * 3, folder="003-take-count-huge"),
        played(shown(FLAKY, Effect.LEAKED), quiet(FLAKY), quiet(FLAKY), folder="004-take-short"),
        played(unjudged(NOT_TRIGGERED, NotJudged.NOT_TRIGGERED), folder="005-enable-refused"),
        played(unjudged(DIED, NotJudged.MACHINE_DIED, "signal 9"), folder="006-request-storm"),
    )
