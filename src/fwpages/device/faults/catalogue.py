"""The faults of a firmware by name: what goes wrong, when it has its opportunity, and which findings name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fwpages.device.faults import actions as m
from fwpages.device.faults.injector import Fault, FaultyFirmware, Rule
from fwpages.device.firmware.firmware import Firmware
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status

#: seconds by which a late answer is late: within Linux's 65 s for a command, and beyond them
LATE, TOO_LATE = 30.0, 100.0

_UNANSWERED = ("command-unanswered",)
_NOT_BACK = ("pages-not-returned", "wait-timeout", "take-short")

FAULTS: Mapping[str, Rule] = MappingProxyType(
    {
        "give-unanswered-lost": Rule("a GIVE is neither done nor answered", m.GIVE, m.lost, ("give-unanswered",)),
        "give-unanswered-done": Rule("a GIVE is done and never answered", m.GIVE, m.silent, ("give-unanswered",)),
        "give-late": Rule("a GIVE is answered late, in time", m.GIVE, m.late(LATE)),
        "give-too-late": Rule("a GIVE is answered after its time", m.GIVE, m.late(TOO_LATE), ("give-unanswered",)),
        "give-next-session": Rule("a GIVE is answered in the next session", m.GIVE, m.late(None), ("give-unanswered",)),
        "give-refused": Rule("a GIVE is refused", m.GIVE, m.refuse(Status.NO_RES_ERR), ("give-refused",)),
        "take-unanswered-lost": Rule("a TAKE is neither done nor answered", m.TAKE, m.lost, ("take-unanswered",)),
        "take-unanswered-done": Rule("a TAKE is done and never answered", m.TAKE, m.silent, ("take-unanswered",)),
        "take-late": Rule("a TAKE is answered late, in time", m.TAKE, m.late(LATE)),
        "take-too-late": Rule("a TAKE is answered after its time", m.TAKE, m.late(TOO_LATE), ("take-unanswered",)),
        "take-next-session": Rule("a TAKE is answered in the next session", m.TAKE, m.late(None), ("take-unanswered",)),
        "take-refused": Rule("a TAKE is refused", m.TAKE, m.refuse(Status.RES_BUSY), ("take-refused",)),
        "take-short": Rule("an answer names half of what was let go", m.TAKE, m.edit(m.short), _NOT_BACK),
        "take-long": Rule("an answer names a page more than was asked", m.TAKE, m.edit(m.long), ("count-over-asked",)),
        "take-count-over": Rule(
            "an answer's count is one more than asked",
            m.TAKE,
            m.count(lambda c, _: c["input_num_entries"] + 1),
            ("count-over-asked",),
        ),
        "take-count-huge": Rule(
            "an answer's count is 0xffffffff", m.TAKE, m.count(lambda _, __: 0xFFFFFFFF), ("count-over-asked",)
        ),
        "take-twice": Rule("an answer names a page twice", m.TAKE, m.first_page(m.twice), ("returned-twice",)),
        "take-twice-kept": Rule(
            "an answer names a page twice, and firmware keeps the one that it stands for",
            m.TAKE,
            m.twice_kept,
            ("returned-twice",),
        ),
        "take-again": Rule(
            "an answer names a page that came back",
            m.TAKE,
            m.first_page(m.again),
            ("returned-twice", "returned-foreign"),
        ),
        "take-foreign": Rule(
            "an answer names a page of another function", m.TAKE, m.first_page(m.foreign), ("returned-foreign",)
        ),
        "take-never-given": Rule(
            "an answer names a page that was never given",
            m.TAKE,
            m.first_page(lambda *_: np.array([m.NEVER], np.uint64)),
            ("returned-never-given",),
        ),
        "take-unaligned": Rule(
            "an answer names an address within a page",
            m.TAKE,
            m.first_page(lambda _, __, a: a.pas[:1] + np.uint64(16)),
            ("returned-never-given",),
        ),
        "take-nothing": Rule("an answer names nothing, and nothing is let go", m.TAKE, m.nothing),
        "take-invented": Rule("an answer names unknown pages only", m.TAKE, m.invented, ("returned-never-given",)),
        "pages-zero": Rule("QUERY_PAGES says 0", m.QUERY_PAGES, m.num_pages(0), ("command-refused",)),
        "pages-negative": Rule(
            "QUERY_PAGES answers -1", m.QUERY_PAGES, m.num_pages(-1), ("absurd-count", "command-refused")
        ),
        "pages-least": Rule("QUERY_PAGES answers -2^31", m.QUERY_PAGES, m.num_pages(-(2**31)), ("absurd-count",)),
        "pages-huge": Rule("QUERY_PAGES answers 2^29", m.QUERY_PAGES, m.num_pages(2**29), ("absurd-count",)),
        "pages-most": Rule("QUERY_PAGES answers 2^31-1", m.QUERY_PAGES, m.num_pages(2**31 - 1), ("absurd-count",)),
        "boot-other-function": Rule(
            "QUERY_PAGES(boot) names another function", m.QUERY_PAGES, m.edit(m.boot_name), ("startup-identity",)
        ),
        "set-cap-refused": Rule("SET_HCA_CAP is refused", m.SET_CAP, m.refuse(Status.BAD_PARAM), ("command-refused",)),
        "set-cap-half": Rule(
            "SET_HCA_CAP leaves release_all_pages out",
            m.SET_CAP,
            m.set_less("release_all_pages"),
            ("capability-disagreement",),
        ),
        "set-cap-unanswered-lost": Rule("SET_HCA_CAP is neither done nor answered", m.SET_CAP, m.lost, _UNANSWERED),
        "set-cap-unanswered-done": Rule("SET_HCA_CAP is done and never answered", m.SET_CAP, m.silent, _UNANSWERED),
        "mode-not-switched": Rule(
            "SET_HCA_CAP is answered OK, the mode not switched",
            m.SET_CAP,
            m.set_less("icm_mng_function_id_mode"),
            ("mode-disagreement",),
        ),
        "mode-not-told": Rule(
            "the mode is switched, the current capability denies it",
            m.op(Opcode.QUERY_HCA_CAP),
            m.edit(m.hide_mode),
            ("mode-disagreement",),
        ),
        "vhca-id-twice": Rule(
            "a function is said to have another's vhca_id", m.other_caps, m.vhca_id(m.someone_elses), ("vhca-id-twice",)
        ),
        "vhca-id-own": Rule(
            "a function is said to have the supplier's vhca_id",
            m.other_caps,
            m.vhca_id(lambda f, _: f.inner.specs[0].vhca_id),
            ("vhca-id-twice",),
        ),
        "vhca-id-again": Rule(
            "a function is said to have the vhca_id of one disabled before", m.other_caps, m.vhca_id(m.disabled_before)
        ),
        "enable-refused": Rule(
            "a function's enabling is refused", m.ENABLE, m.refuse(Status.NO_RES_ERR), ("command-refused",)
        ),
        "enable-unanswered-lost": Rule(
            "a function's enabling is neither done nor answered", m.ENABLE, m.lost, _UNANSWERED
        ),
        "enable-unanswered-done": Rule("enabling a function is done, not answered", m.ENABLE, m.silent, _UNANSWERED),
        "disable-refused": Rule(
            "a function's disabling is refused", m.DISABLE, m.refuse(Status.RES_BUSY), ("command-refused",)
        ),
        "disable-unanswered-lost": Rule(
            "a function's disabling is neither done nor answered", m.DISABLE, m.lost, _UNANSWERED
        ),
        "disable-unanswered-done": Rule(
            "a function's disabling is done and not answered", m.DISABLE, m.silent, _UNANSWERED
        ),
        "teardown-refused": Rule(
            "TEARDOWN_HCA is refused", m.TEARDOWN, m.refuse(Status.BAD_SYS_STATE), ("teardown-refused",)
        ),
        "teardown-unanswered": Rule("TEARDOWN_HCA is never answered", m.TEARDOWN, m.lost, _UNANSWERED),
        "command-refused": Rule(
            "a control command is refused",
            m.control,
            m.refuse(Status.INTERNAL_ERR),
            ("command-refused", "teardown-refused"),
        ),
        "command-unanswered-lost": Rule("a control command is lost", m.control, m.lost, _UNANSWERED),
        "command-unanswered-done": Rule("a control command is done, not answered", m.control, m.silent, _UNANSWERED),
        "command-late": Rule("a control command is answered late, in time", m.control, m.late(LATE)),
        "request-zero": Rule("a page request for 0 pages", m.listening, m.raise_event(m.own_request(0))),
        "request-minus-one": Rule(
            "a page request for -1 page that firmware does not mean",
            m.listening,
            m.raise_event(m.own_request(-1)),
            ("take-short",),
        ),
        "request-least": Rule(
            "a page request for -2^31 pages",
            m.listening,
            m.raise_event(m.own_request(-(2**31))),
            ("absurd-count", "take-short"),
        ),
        "request-huge": Rule(
            "a page request for 2^29 pages", m.listening, m.raise_event(m.own_request(2**29)), ("absurd-count",)
        ),
        "request-most": Rule(
            "a page request for 2^31-1 pages", m.listening, m.raise_event(m.own_request(2**31 - 1)), ("absurd-count",)
        ),
        "request-unmeant": Rule(
            "a page request for 5 pages that firmware then refuses",
            m.listening,
            m.raise_event(m.own_request(5)),
            ("give-refused",),
        ),
        "request-storm": Rule("5,000 page requests at once", m.listening, m.real_want(1, 5000), ("request-dropped",)),
        "request-in-enable": Rule("a page request while a function is enabled", m.ENABLE, m.real_want(100)),
        "request-in-disable": Rule("a page request while a function is disabled", m.DISABLE, m.real_want(100)),
        "request-in-close": Rule(
            "a page request while the close destroys the event queues", m.op(Opcode.DESTROY_EQ), m.real_want(100)
        ),
        "request-before-eq": Rule(
            "a page request before its event queue exists (impossible on the wire)",
            m.op(Opcode.SET_HCA_CAP, Opcode.INIT_HCA),
            m.raise_event(m.own_request(10), eqn=3),
            ("request-without-eq",),
        ),
        "request-after-eq": Rule(
            "a page request after its event queue is gone (impossible on the wire)",
            m.TEARDOWN,
            m.raise_event(m.own_request(10), first=True, eqn=3),
            ("request-without-eq",),
        ),
        "release-all-unasked": Rule(
            "release_all that firmware does not mean and was not allowed",
            m.not_negotiated,
            m.raise_event(m.release_other),
            ("release-all-not-negotiated",),
        ),
        "release-all-own": Rule(
            "release_all for the supplier itself",
            m.negotiated,
            m.raise_event(m.own_request(0, release_all=True)),
            ("release-all-own",),
        ),
        "release-all-crossing": Rule(
            "a function is reset, with release_all, while a GIVE for it is out",
            m.GIVE,
            m.reset_in_give,
            ("give-crossed-release",),
        ),
    }
)


#: every fault of a firmware, those of single events among them: what goes wrong, and which findings name it
WORDS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {name: (rule.words, rule.named) for name, rule in FAULTS.items()}
    | {
        "request-lost": ("a page request never arrives (an event queue overrun)", ()),
        "request-twice": ("a page request arrives twice", ("give-refused", "take-short", "absurd-count")),
    }
)


def faulty(firmware: Firmware, faults: Sequence[Fault]) -> FaultyFirmware:
    """This firmware with these faults."""
    return FaultyFirmware(firmware, tuple(faults), FAULTS)
