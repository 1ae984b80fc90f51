"""The judgement of a play: what the kernel and both sides' books show, and what they cannot show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fwpages.report.serve import ServedOffence
from fwpages.scenario.fault_syntax import fault
from fwpages.trial.effects import Causer, Effect, NotJudged
from fwpages.trial.judge import judge
from fwpages.trial.judged import Judged
from fwpages.trial.rows import Row, Trouble
from fwpages.trial.seen import Halt, Instruments, Outcome, Reading, Seen, Stage, StageSeen
from tests.trial.made import DRIVER_LINE, log, play, served, session, strike

LET_GO = ServedOffence(
    session=1, name="memory-let-go", detail="300 pages of vhca:0x31 unmapped while the device worked"
)


def effects(j: Judged) -> list[Effect]:
    return [e.effect for e in j.effects]


def with_stage(seen: Seen, stage: Stage, outcome: Outcome, text: str = "") -> Seen:
    """The play with this end of a stage; those after one that does not end are not reached."""
    stages, reached = [], True
    for s in seen.stages:
        end = outcome if s.stage is stage else Outcome.DONE if reached else Outcome.NOT_REACHED
        stages.append(StageSeen(s.stage, end, 45.0 if end is Outcome.NOT_ENDED else s.seconds, text))
        reached = reached and end is not Outcome.NOT_ENDED
    return replace(seen, stages=tuple(stages))


# -- nothing seen ------------------------------------------------------------------------------------------------------


def test_a_sound_play_shows_no_effect_and_says_what_was_not_looked_at() -> None:
    j = judge(play("none"))
    assert (j.effect, j.title, j.effects, j.not_judged) == (Effect.NONE, "no effect seen", (), None)
    assert j.unseen == ("not instrumented: KASAN, lockdep, kmemleak",)
    whole = Instruments(*[True] * 7)
    assert judge(replace(play("none"), instruments=whole, leaks="")).unseen == (
        "free memory from one cycle to the next: KASAN and kmemleak keep memory of their own",
    )
    said = "INFO: lockdep is turned off.\n** 7 printk messages dropped **\n"
    hasty = replace(play("none", console=DRIVER_LINE + said), instruments=whole)
    assert judge(hasty).unseen[1:] == (
        "objects that are lost: kmemleak was not asked, as the play did not come to its end",
        "locks, from where lockdep was turned off",
        "lines of the kernel's log that its console dropped",
    )
    unknown = judge(replace(play("none"), instruments=Instruments())).unseen
    assert unknown[0].startswith("not known whether the kernel has slab_debug, KASAN")


def test_no_verdict_says_that_a_driver_behaved() -> None:
    for j in (judge(play("none")), judge(play("take-late@teardown"))):
        words = " ".join([j.title, j.why, *j.driver_did, *j.unseen])
        assert not any(w in words for w in ("behave", "survive", "clean", "correct"))


def test_the_row_s_causer_questions_and_path_are_told() -> None:
    j = judge(play("give-unanswered-done@runtime"))
    assert (j.causer, j.questions) == (Causer.FIRMWARE, (11,))
    assert j.path.startswith("fwpages explore give-timeout --replay merged:")
    assert j.on_purpose == ("give-unanswered-done: a GIVE is done and never answered (once, first at 1.500 s)",)


# -- no verdict on the driver ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", [NotJudged.NO_MODULE, NotJudged.NO_DEVICE, NotJudged.DISK_FULL, NotJudged.OUR_BUG, NotJudged.NOT_PLAYED]
)
def test_what_stops_a_play_is_told_and_no_verdict(reason: NotJudged) -> None:
    """Also where the log has a crash: it is not the driver's."""
    seen = replace(play("none", console=log("page-fault")), stopped=reason, why="in these words")
    j = judge(with_stage(seen, Stage.UNLOAD, Outcome.NOT_ENDED))
    assert (j.effect, j.not_judged, j.why, j.title) == (None, reason, "in these words", reason.value)
    assert j.driver_did == ()


def test_a_kernel_that_does_not_boot_is_no_verdict() -> None:
    seen = with_stage(play("none", console=log("page-fault")), Stage.BOOT, Outcome.NOT_ENDED)
    j = judge(replace(seen, halt=Halt.PANIC))
    assert (j.effect, j.not_judged) == (None, NotJudged.NOT_BOOTED)


def test_a_fault_that_was_never_triggered_is_not_judged_and_what_was_seen_is_told_all_the_same() -> None:
    never = play("take-refused@runtime", report=served(session()))
    assert judge(never).not_judged is NotJudged.NOT_TRIGGERED
    assert judge(never).effect is None
    j = judge(replace(never, console=log("slub-redzone")))
    assert (j.effect, j.not_judged) == (Effect.CORRUPTED, NotJudged.NOT_TRIGGERED)


def test_a_trouble_is_triggered_where_the_device_was_in_it() -> None:
    lost = Row(None, trouble=Trouble.LINK_LOST)
    assert judge(replace(play("none"), row=lost)).not_judged is NotJudged.NOT_TRIGGERED
    troubled = replace(play("none", report=served(session(trouble="lost", end="reset"))), row=lost)
    j = judge(troubled)
    assert j.not_judged is None
    assert j.on_purpose == ("link-lost: the link is lost, and back after a reset: reads say all ones",)


def test_a_machine_that_dies_tells_what_its_kernel_reported_before_and_no_hang() -> None:
    dead = with_stage(play("none"), Stage.UNLOAD, Outcome.NOT_ENDED)
    j = judge(replace(dead, halt=Halt.DIED))
    assert (j.effect, j.not_judged, j.effects) == (None, NotJudged.MACHINE_DIED, ())
    j = judge(replace(dead, halt=Halt.DIED, console=log("slub-redzone")))
    assert (j.effect, j.not_judged) == (Effect.CORRUPTED, NotJudged.MACHINE_DIED)


def test_a_play_without_the_device_s_report_is_our_bug() -> None:
    assert judge(replace(play("none"), served=None)).not_judged is NotJudged.OUR_BUG


# -- the kernel's reports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "effect", "title"),
    [
        ("slub-redzone", Effect.CORRUPTED, "BUG kmalloc-8: Right Redzone overwritten in give_pages"),
        ("page-fault", Effect.CRASHED, "BUG: unable to handle page fault in copy_process"),
        ("warning", Effect.WARNED, "WARNING in mlx5_reclaim_startup_pages"),
        ("hung-task", Effect.HUNG, "INFO: task hung in cmd_work_handler"),
    ],
)
def test_the_kernel_s_own_report_is_the_effect_and_the_title(name: str, effect: Effect, title: str) -> None:
    j = judge(play("none", console=DRIVER_LINE + log(name)))
    assert (j.effect, j.title) == (effect, title)
    assert j.effects[0].frames


def test_a_complaint_before_the_driver_s_first_line_is_not_the_driver_s() -> None:
    j = judge(play("none", console=log("warning") + DRIVER_LINE))
    assert j.effect is Effect.NONE
    assert "the kernel complained before the driver printed a line: WARNING in mlx5_reclaim" in j.unseen[-1]


def test_the_worst_effect_comes_first_and_each_title_once() -> None:
    j = judge(play("none", console=DRIVER_LINE + log("warning") + log("slub-redzone") + log("page-fault")))
    assert effects(j) == [Effect.CRASHED, Effect.CORRUPTED, Effect.WARNED]
    again = judge(play("none", console=DRIVER_LINE + log("warning") * 3))
    assert effects(again) == [Effect.WARNED]


def test_what_kmemleak_listed_is_leaked() -> None:
    listed = (
        "unreferenced object 0xff472821443ee5c0 (size 96):\n"
        '  comm "insmod", pid 105, jiffies 4294899264\n'
        "  backtrace (crc 9e1f5a3c):\n"
        "    __kmalloc_cache_noprof+0x26a/0x3c0\n"
        "    alloc_system_page+0x5a/0x1b0 [mlx5_core]\n"
    )
    j = judge(replace(play("none"), leaks=listed))
    assert (effects(j), j.title) == ([Effect.LEAKED], "memory leak in alloc_system_page")
    assert judge(replace(play("none"), leaks=log("warning"))).effects == ()


def test_memory_that_the_device_keeps_and_the_driver_must_leave_mapped_is_not_blamed_on_it() -> None:
    console = (
        f"{DRIVER_LINE}[   99.1] DMA-API: mlx5_core 0000:01:00.0: device driver has pending DMA allocations while "
        "released from device [count=37]\n"
    )
    assert effects(judge(play("teardown-refused@1", console=console))) == [Effect.LEAKED]
    assert effects(judge(play("take-short@teardown", console=console))) == []
    assert effects(judge(play("take-refused@teardownx*", console=console))) == []


def test_each_effect_has_its_own_title() -> None:
    j = judge(play("none", console=DRIVER_LINE + log("hung-task") + log("warning")))
    assert [e.title for e in j.effects] == [
        "INFO: task hung in cmd_work_handler",
        "INFO: task hung in mlx5_cmd_allowed_opcode",
        "WARNING in mlx5_reclaim_startup_pages",
    ]


def test_a_stage_without_an_end_is_a_hang_also_where_the_kernel_reports_none() -> None:
    j = judge(with_stage(play("take-count-huge@teardownx*"), Stage.UNLOAD, Outcome.NOT_ENDED))
    assert (j.effect, j.title) == (Effect.HUNG, "unload: no end")
    assert j.effects[0].detail == "unload: no end after 45 s, and the kernel reported no hang"
    assert "not reached: second load, second unload" in j.unseen


def test_what_does_not_end_after_a_crash_is_the_crash() -> None:
    hung = with_stage(play("none", console=DRIVER_LINE + log("page-fault")), Stage.LOAD, Outcome.NOT_ENDED)
    assert effects(judge(hung)) == [Effect.CRASHED]
    panicked = replace(with_stage(play("none"), Stage.LOAD, Outcome.NOT_ENDED), halt=Halt.PANIC)
    assert effects(judge(panicked)) == [Effect.CRASHED]


def test_a_machine_that_does_not_power_off_is_told_and_no_effect() -> None:
    """The driver is unloaded by then."""
    j = judge(replace(play("none"), halt=Halt.KILLED))
    assert j.effect is Effect.NONE
    assert j.unseen[-1] == "the end of the machine, which did not power off in its time"
    hung = replace(with_stage(play("none"), Stage.UNLOAD, Outcome.NOT_ENDED), halt=Halt.KILLED)
    assert effects(judge(hung)) == [Effect.HUNG]
    assert not any("power off" in words for words in judge(hung).unseen)


# -- the books ---------------------------------------------------------------------------------------------------------


def test_memory_let_go_by_the_device_s_report() -> None:
    j = judge(play("none", report=served(session(), offences=[LET_GO])))
    assert (j.effect, j.title) == (Effect.LET_GO, "memory unmapped while firmware held it")
    assert j.effects[0].detail == LET_GO.detail


@pytest.mark.parametrize("name", ["given-twice", "memory-in-use"])
def test_a_page_that_is_used_anew_shows_that_it_was_let_go_also_without_an_iommu(name: str) -> None:
    report = served(
        session(memory="not judged: the guest's memory is mapped as a whole"),
        offences=[ServedOffence(session=1, name=name, detail="firmware has page 0x1000 already")],
    )
    assert effects(judge(play("none", report=report))) == [Effect.LET_GO]


def test_memory_that_could_not_be_judged_is_told_with_a_counter_that_is_lower() -> None:
    report = served(session(memory="not judged: the guest's memory is mapped as a whole"))
    low = (Reading(Stage.REQUESTS, {"self": 1037, "vf0": 300}, {"fw_pages_total": 1037}, 400_000),)
    j = judge(replace(play("none", report=report), readings=low))
    assert j.effect is Effect.NONE
    assert j.unseen[0] == (
        "memory let go too early in session 1: not judged: the guest's memory is mapped as a whole; "
        "its counter says 300 pages fewer than firmware holds"
    )
    lazy = replace(play("none"), instruments=replace(play("none").instruments, strict_iommu=False))
    assert "memory let go too early: the guest's IOMMU is not strict" in judge(lazy).unseen


def test_pages_left_at_the_close_are_leaked_until_the_next_boot() -> None:
    j = judge(play("take-refused@teardown", held=1037))
    assert effects(j) == [Effect.LEAKED]
    assert j.effects[0].detail == (
        "1,037 pages (4.05 MiB) of session 1 never taken back, left with firmware at DISABLE_HCA: "
        "lost until the next boot"
    )


def test_pages_that_were_let_go_are_not_leaked_too() -> None:
    """They are free on the driver's side."""
    report = served(session(held=37, let_go=37), offences=[LET_GO], strikes=[strike("give-unanswered-done")])
    assert effects(judge(play("give-unanswered-done@boot", report=report))) == [Effect.LET_GO]


def test_pages_left_with_an_open_device_are_leaked_where_the_driver_is_unloaded() -> None:
    report = served(session(end="gone", held=1037), strikes=[strike("teardown-refused")])
    seen = play("teardown-refused@1", report=report)
    assert effects(judge(seen)) == [Effect.LEAKED]
    assert effects(judge(with_stage(seen, Stage.REQUESTS, Outcome.NOT_ENDED))) == [Effect.HUNG]


def test_pages_that_went_with_a_reset_are_leaked_only_without_a_trouble() -> None:
    reset = served(session(end="reset", held=1037, dropped=True))
    assert judge(play("none", report=reset)).effects[0].detail.endswith("until the driver reset the device")
    lost = served(session(end="reset", held=1037, dropped=True, trouble="health"))
    assert judge(replace(play("none", report=lost), row=Row(None, trouble=Trouble.FATAL))).effect is Effect.NONE
    gone = served(session(end="gone", held=1037, trouble="lost"))
    row = Row(None, trouble=Trouble.LINK_LOST_FOR_GOOD)
    assert judge(replace(play("none", report=gone), row=row)).effect is Effect.NONE


def test_pages_that_firmware_never_gives_back_are_not_blamed_and_those_that_it_would_are() -> None:
    assert judge(play("take-nothing@teardownx*", held=1037)).effect is Effect.NONE
    assert judge(play("take-nothing@teardown", held=1037)).effect is Effect.LEAKED


def test_a_counter_above_firmware_s_holding_is_a_leak_unless_firmware_named_fewer() -> None:
    high = (Reading(Stage.REQUESTS, {"self": 1037}, {"fw_pages_total": 1040}, 400_000),)
    j = judge(replace(play("none"), readings=high))
    assert j.effects[0].detail == "after requests its counter says 3 pages more than firmware holds"
    j = judge(replace(play("take-short@runtime"), readings=high))
    assert j.effect is Effect.NONE
    assert "requests: done after 1.0 s; it counts 3 pages more than firmware holds" in j.driver_did
    sending = served(session(), offences=[ServedOffence(session=1, name="request-unanswered", detail="the PF")])
    j = judge(replace(play("none", report=sending), readings=high))
    assert effects(j) == [Effect.OFFENDED], "it has pages that it has not sent yet"
    assert judge(replace(with_stage(play("none"), Stage.UNLOAD, Outcome.NOT_ENDED), readings=high)).title == (
        "unload: no end"
    )
    later = (*high, Reading(Stage.VFS, {"self": 1037}, {"fw_pages_total": 1037}, 400_000))
    assert judge(replace(play("none"), readings=later)).effect is Effect.NONE
    absent = (Reading(Stage.UNLOAD, {}, {}, 400_000),)
    assert judge(replace(play("none"), readings=absent)).effect is Effect.NONE


def test_free_memory_that_falls_with_a_cycle_is_a_leak() -> None:
    def cycles(first: int, second: int) -> Judged:
        after = (Reading(Stage.UNLOAD, {}, {}, first), Reading(Stage.UNLOAD_AGAIN, {}, {}, second))
        return judge(replace(play("none"), readings=after))

    assert cycles(423_056, 422_956).effect is Effect.NONE
    assert cycles(423_056, 414_052).effects[0].detail == (
        "9,004 KiB less free memory after the second unload than after the first"
    )
    assert cycles(423_056, 0).effect is Effect.NONE, "0 is no reading"
    refused = with_stage(play("set-cap-refused@1"), Stage.LOAD, Outcome.REFUSED)
    after = (Reading(Stage.UNLOAD, {}, {}, 423_056), Reading(Stage.UNLOAD_AGAIN, {}, {}, 414_052))
    assert judge(replace(refused, readings=after)).effect is Effect.NONE, "the second cycle did what the first did not"


def test_a_broken_rule_is_an_effect_unless_the_fault_excuses_it() -> None:
    busy = ServedOffence(session=1, name="slot-busy", detail="slot 31: MANAGE_PAGES is not answered yet")
    j = judge(play("none", report=served(session(), offences=[busy] * 9)))
    assert (effects(j), j.title) == ([Effect.OFFENDED], "slot-busy")
    assert j.effects[0].detail.endswith("(and 6 more)")
    excused = served(session(), strikes=[strike("request-storm")], excused=[("eq-overrun", "request-storm")] * 1000)
    j = judge(play("request-storm@1", report=excused))
    assert j.effect is Effect.NONE
    assert j.driver_did[-1] == "eq-overrun, because of request-storm: EQ 3 (1,000 times)"


def test_a_second_load_that_fails_is_an_effect_where_the_fault_is_over() -> None:
    failed = "probe with driver mlx5_core failed with error -5"
    j = judge(with_stage(play("teardown-refused@1"), Stage.LOAD_AGAIN, Outcome.REFUSED, failed))
    assert (effects(j), j.title) == ([Effect.UNUSABLE], "the second load fails")
    assert failed in j.effects[0].detail
    for label in ("take-refused@teardownx*", "give-refused@boot"):
        report = served(session(), session(number=2), strikes=[strike(fault(label).name, session=2)])
        again = with_stage(play(label, report=report), Stage.LOAD_AGAIN, Outcome.REFUSED)
        assert judge(again).effect is Effect.NONE
    gone = play("none", report=served(session(trouble="lost")))
    for trouble, effect in ((Trouble.LINK_LOST, Effect.UNUSABLE), (Trouble.LINK_LOST_FOR_GOOD, Effect.NONE)):
        row = Row(None, trouble=trouble)
        assert judge(replace(with_stage(gone, Stage.LOAD_AGAIN, Outcome.REFUSED), row=row)).effect is effect


def test_a_load_that_fails_without_any_fault_is_an_effect() -> None:
    j = judge(with_stage(play("none"), Stage.LOAD, Outcome.REFUSED, "a line\ninsmod: Invalid argument\n"))
    assert (effects(j), j.title) == ([Effect.UNUSABLE], "the load fails without a fault")
    assert j.effects[0].detail == "load: refused: insmod: Invalid argument"


def test_a_first_load_that_is_refused_is_what_a_driver_may_do() -> None:
    seen = with_stage(play("set-cap-refused@1"), Stage.LOAD, Outcome.REFUSED, "insmod: Invalid argument")
    assert judge(seen).effect is Effect.NONE
    assert "load: refused after 1.0 s (insmod: Invalid argument)" in judge(seen).driver_did


def test_the_driver_s_own_complaints_are_told_once_with_how_often() -> None:
    said = "".join(
        f"[ 1.{n}] mlx5_core 0000:01:00.0: wait_func:1192:(pid 14): MANAGE_PAGES(0x108) timeout. Will leak {n} of it\n"
        for n in range(5)
    )
    j = judge(play("none", console=DRIVER_LINE + said))
    assert j.driver_did[-1] == "it says: MANAGE_PAGES(0x108) timeout. Will leak 0 of it (5 times)"
    assert len(j.driver_did) == 2
