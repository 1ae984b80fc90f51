"""The faults of a firmware by name.

A row says in words what goes wrong, which commands or events are opportunities (``triggers``), how firmware executes
the command then (``effects``), by which findings a driver names it, and which offences a correct driver may commit
because of it. To add a fault is to add a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from fwpages.custody.findings import FindingName
from fwpages.device.faults import causes
from fwpages.device.faults import effects as do
from fwpages.device.faults import triggers as when
from fwpages.device.faults.injector import CommandFault, DeviceFault, EventFault, FaultyFirmware
from fwpages.device.faults.plan import FaultPlan, PlannedFault
from fwpages.device.firmware.firmware import Firmware
from fwpages.device.firmware.offences import OffenceName
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status

_UNANSWERED = (FindingName.COMMAND_UNANSWERED,)
_NOT_BACK = (FindingName.PAGES_NOT_RETURNED, FindingName.WAIT_TIMEOUT, FindingName.TAKE_SHORT)

DEVICE_FAULTS: Mapping[str, DeviceFault] = MappingProxyType(
    {
        "give-unanswered-lost": CommandFault(
            "a GIVE is neither done nor answered", when.GIVE, do.lost, (FindingName.GIVE_UNANSWERED,)
        ),
        "give-unanswered-done": CommandFault(
            "a GIVE is done and never answered", when.GIVE, do.silent, (FindingName.GIVE_UNANSWERED,)
        ),
        "give-late": CommandFault("a GIVE is answered late, in time", when.GIVE, do.Late(do.Delay.IN_TIME)),
        "give-too-late": CommandFault(
            "a GIVE is answered after its time", when.GIVE, do.Late(do.Delay.TOO_LATE), (FindingName.GIVE_UNANSWERED,)
        ),
        "give-next-session": CommandFault(
            "a GIVE is answered in the next session", when.GIVE, do.Late(None), (FindingName.GIVE_UNANSWERED,)
        ),
        "give-refused": CommandFault(
            "a GIVE is refused", when.GIVE, do.refuse(Status.NO_RES_ERR), (FindingName.GIVE_REFUSED,)
        ),
        "take-unanswered-lost": CommandFault(
            "a TAKE is neither done nor answered", when.TAKE, do.lost, (FindingName.TAKE_UNANSWERED,)
        ),
        "take-unanswered-done": CommandFault(
            "a TAKE is done and never answered", when.TAKE, do.silent, (FindingName.TAKE_UNANSWERED,)
        ),
        "take-late": CommandFault("a TAKE is answered late, in time", when.TAKE, do.Late(do.Delay.IN_TIME)),
        "take-too-late": CommandFault(
            "a TAKE is answered after its time", when.TAKE, do.Late(do.Delay.TOO_LATE), (FindingName.TAKE_UNANSWERED,)
        ),
        "take-next-session": CommandFault(
            "a TAKE is answered in the next session", when.TAKE, do.Late(None), (FindingName.TAKE_UNANSWERED,)
        ),
        "take-refused": CommandFault(
            "a TAKE is refused",
            when.TAKE,
            do.refuse(Status.RES_BUSY),
            (FindingName.TAKE_REFUSED,),
            offences=causes.KEPT,
        ),
        "take-short": CommandFault("an answer names half of what was let go", when.TAKE, do.edit(do.short), _NOT_BACK),
        "take-long": CommandFault(
            "an answer names a page more than was asked", when.TAKE, do.edit(do.long), (FindingName.COUNT_OVER_ASKED,)
        ),
        "take-count-over": CommandFault(
            "an answer's count is one more than asked",
            when.TAKE,
            do.count(lambda c, _: c["input_num_entries"] + 1),
            (FindingName.COUNT_OVER_ASKED,),
        ),
        "take-count-huge": CommandFault(
            "an answer's count is 0xffffffff",
            when.TAKE,
            do.count(lambda _, __: 0xFFFFFFFF),
            (FindingName.COUNT_OVER_ASKED,),
        ),
        "take-twice": CommandFault(
            "an answer names a page twice", when.TAKE, do.first_page(do.twice), (FindingName.RETURNED_TWICE,)
        ),
        "take-twice-kept": CommandFault(
            "an answer names a page twice, and firmware keeps the one that it stands for",
            when.TAKE,
            do.twice_kept,
            (FindingName.RETURNED_TWICE,),
        ),
        "take-again": CommandFault(
            "an answer names a page that came back",
            when.TAKE,
            do.first_page(do.again),
            (FindingName.RETURNED_TWICE, FindingName.RETURNED_FOREIGN),
        ),
        "take-foreign": CommandFault(
            "an answer names a page of another function",
            when.TAKE,
            do.first_page(do.foreign),
            (FindingName.RETURNED_FOREIGN,),
        ),
        "take-never-given": CommandFault(
            "an answer names a page that was never given",
            when.TAKE,
            do.first_page(lambda *_: np.array([do.NEVER], np.uint64)),
            (FindingName.RETURNED_NEVER_GIVEN,),
        ),
        "take-unaligned": CommandFault(
            "an answer names an address within a page",
            when.TAKE,
            do.first_page(lambda _, __, a: a.pas[:1] + np.uint64(16)),
            (FindingName.RETURNED_NEVER_GIVEN,),
        ),
        "take-nothing": CommandFault(
            "an answer names nothing, and nothing is let go", when.TAKE, do.nothing, offences=causes.KEPT
        ),
        "take-invented": CommandFault(
            "an answer names unknown pages only",
            when.TAKE,
            do.invented,
            (FindingName.RETURNED_NEVER_GIVEN,),
            offences=causes.KEPT,
        ),
        "pages-zero": CommandFault(
            "QUERY_PAGES says 0",
            when.QUERY_PAGES,
            do.num_pages(0),
            (FindingName.COMMAND_REFUSED,),
            offences=causes.TOO_FEW,
        ),
        "pages-negative": CommandFault(
            "QUERY_PAGES answers -1",
            when.QUERY_PAGES,
            do.num_pages(-1),
            (FindingName.ABSURD_COUNT, FindingName.COMMAND_REFUSED),
            offences=causes.TOO_FEW,
        ),
        "pages-least": CommandFault(
            "QUERY_PAGES answers -2^31",
            when.QUERY_PAGES,
            do.num_pages(-(2**31)),
            (FindingName.ABSURD_COUNT,),
            offences=causes.TOO_FEW,
        ),
        "pages-huge": CommandFault(
            "QUERY_PAGES answers 2^29", when.QUERY_PAGES, do.num_pages(2**29), (FindingName.ABSURD_COUNT,)
        ),
        "pages-most": CommandFault(
            "QUERY_PAGES answers 2^31-1", when.QUERY_PAGES, do.num_pages(2**31 - 1), (FindingName.ABSURD_COUNT,)
        ),
        "boot-other-function": CommandFault(
            "QUERY_PAGES(boot) names another function",
            when.QUERY_PAGES,
            do.edit(do.boot_name),
            (FindingName.STARTUP_IDENTITY,),
            offences=causes.NOT_WANTED | causes.TOO_FEW | {OffenceName.UNKNOWN_FUNCTION},
        ),
        "set-cap-refused": CommandFault(
            "SET_HCA_CAP is refused", when.SET_CAP, do.refuse(Status.BAD_PARAM), (FindingName.COMMAND_REFUSED,)
        ),
        "set-cap-half": CommandFault(
            "SET_HCA_CAP leaves release_all_pages out",
            when.SET_CAP,
            do.set_less("release_all_pages"),
            (FindingName.CAPABILITY_DISAGREEMENT,),
        ),
        "set-cap-unanswered-lost": CommandFault(
            "SET_HCA_CAP is neither done nor answered", when.SET_CAP, do.lost, _UNANSWERED
        ),
        "set-cap-unanswered-done": CommandFault(
            "SET_HCA_CAP is done and never answered", when.SET_CAP, do.silent, _UNANSWERED
        ),
        "mode-not-switched": CommandFault(
            "SET_HCA_CAP is answered OK, the mode not switched",
            when.SET_CAP,
            do.set_less("icm_mng_function_id_mode"),
            (FindingName.MODE_DISAGREEMENT,),
        ),
        "mode-not-told": CommandFault(
            "the mode is switched, the current capability denies it",
            when.op(Opcode.QUERY_HCA_CAP),
            do.edit(do.hide_mode),
            (FindingName.MODE_DISAGREEMENT,),
            offences=frozenset({OffenceName.IDENTITY_MODE}),
        ),
        "vhca-id-twice": CommandFault(
            "a function is said to have another's vhca_id",
            when.other_caps,
            do.vhca_id(do.someone_elses),
            (FindingName.VHCA_ID_TWICE,),
        ),
        "vhca-id-own": CommandFault(
            "a function is said to have the supplier's vhca_id",
            when.other_caps,
            do.vhca_id(lambda f, _: f.inner.specs[0].vhca_id),
            (FindingName.VHCA_ID_TWICE,),
        ),
        "vhca-id-again": CommandFault(
            "a function is said to have the vhca_id of one disabled before",
            when.other_caps,
            do.vhca_id(do.disabled_before),
        ),
        "enable-refused": CommandFault(
            "a function's enabling is refused",
            when.ENABLE,
            do.refuse(Status.NO_RES_ERR),
            (FindingName.COMMAND_REFUSED,),
            offences=causes.SWITCHED,
        ),
        "enable-unanswered-lost": CommandFault(
            "a function's enabling is neither done nor answered",
            when.ENABLE,
            do.lost,
            _UNANSWERED,
            offences=causes.SWITCHED,
        ),
        "enable-unanswered-done": CommandFault(
            "enabling a function is done, not answered", when.ENABLE, do.silent, _UNANSWERED, offences=causes.SWITCHED
        ),
        "disable-refused": CommandFault(
            "a function's disabling is refused",
            when.DISABLE,
            do.refuse(Status.RES_BUSY),
            (FindingName.COMMAND_REFUSED,),
            offences=causes.SWITCHED,
        ),
        "disable-unanswered-lost": CommandFault(
            "a function's disabling is neither done nor answered",
            when.DISABLE,
            do.lost,
            _UNANSWERED,
            offences=causes.SWITCHED,
        ),
        "disable-unanswered-done": CommandFault(
            "a function's disabling is done and not answered",
            when.DISABLE,
            do.silent,
            _UNANSWERED,
            offences=causes.SWITCHED,
        ),
        "teardown-refused": CommandFault(
            "TEARDOWN_HCA is refused", when.TEARDOWN, do.refuse(Status.BAD_SYS_STATE), (FindingName.TEARDOWN_REFUSED,)
        ),
        "teardown-unanswered": CommandFault("TEARDOWN_HCA is never answered", when.TEARDOWN, do.lost, _UNANSWERED),
        "command-refused": CommandFault(
            "a control command is refused",
            when.control,
            do.refuse(Status.INTERNAL_ERR),
            (FindingName.COMMAND_REFUSED, FindingName.TEARDOWN_REFUSED),
            offences=causes.REFUSED,
        ),
        "command-unanswered-lost": CommandFault(
            "a control command is lost", when.control, do.lost, _UNANSWERED, offences=causes.SWITCHED
        ),
        "command-unanswered-done": CommandFault(
            "a control command is done, not answered", when.control, do.silent, _UNANSWERED, offences=causes.SWITCHED
        ),
        "command-late": CommandFault(
            "a control command is answered late, in time", when.control, do.Late(do.Delay.IN_TIME)
        ),
        "request-zero": CommandFault("a page request for 0 pages", when.listening, do.raise_event(do.own_request(0))),
        "request-minus-one": CommandFault(
            "a page request for -1 page that firmware does not mean",
            when.listening,
            do.raise_event(do.own_request(-1)),
            (FindingName.TAKE_SHORT,),
        ),
        "request-least": CommandFault(
            "a page request for -2^31 pages",
            when.listening,
            do.raise_event(do.own_request(-(2**31))),
            (FindingName.ABSURD_COUNT, FindingName.TAKE_SHORT),
        ),
        "request-huge": CommandFault(
            "a page request for 2^29 pages",
            when.listening,
            do.raise_event(do.own_request(2**29)),
            (FindingName.ABSURD_COUNT,),
        ),
        "request-most": CommandFault(
            "a page request for 2^31-1 pages",
            when.listening,
            do.raise_event(do.own_request(2**31 - 1)),
            (FindingName.ABSURD_COUNT,),
        ),
        "request-unmeant": CommandFault(
            "a page request for 5 pages that firmware then refuses",
            when.listening,
            do.raise_event(do.own_request(5)),
            (FindingName.GIVE_REFUSED,),
            offences=causes.NOT_WANTED,
        ),
        "request-storm": CommandFault(
            "5,000 page requests at once",
            when.listening,
            do.real_want(1, 5000),
            (FindingName.REQUEST_DROPPED,),
        ),
        "request-in-enable": CommandFault("a page request while a function is enabled", when.ENABLE, do.real_want(100)),
        "request-in-disable": CommandFault(
            "a page request while a function is disabled", when.DISABLE, do.real_want(100)
        ),
        "request-in-close": CommandFault(
            "a page request while the close destroys the event queues", when.op(Opcode.DESTROY_EQ), do.real_want(100)
        ),
        "request-before-eq": CommandFault(
            "a page request before its event queue exists (impossible on the wire)",
            when.op(Opcode.SET_HCA_CAP, Opcode.INIT_HCA),
            do.raise_event(do.own_request(10), eqn=3),
            (FindingName.REQUEST_WITHOUT_EQ,),
        ),
        "request-after-eq": CommandFault(
            "a page request after its event queue is gone (impossible on the wire)",
            when.TEARDOWN,
            do.raise_event(do.own_request(10), first=True, eqn=3),
            (FindingName.REQUEST_WITHOUT_EQ,),
        ),
        "release-all-unasked": CommandFault(
            "release_all that firmware does not mean and was not allowed",
            when.not_negotiated,
            do.raise_event(do.release_other),
            (FindingName.RELEASE_ALL_NOT_NEGOTIATED,),
        ),
        "release-all-own": CommandFault(
            "release_all for the supplier itself",
            when.negotiated,
            do.raise_event(do.own_request(0, release_all=True)),
            (FindingName.RELEASE_ALL_OWN,),
        ),
        "release-all-crossing": CommandFault(
            "a function is reset, with release_all, while a GIVE for it is out",
            when.GIVE,
            do.reset_in_give,
            (FindingName.GIVE_CROSSED_RELEASE,),
        ),
        "request-lost": EventFault("a page request never arrives (an event queue overrun)", 0),
        "request-twice": EventFault(
            "a page request arrives twice",
            2,
            (FindingName.GIVE_REFUSED, FindingName.TAKE_SHORT, FindingName.ABSURD_COUNT),
            offences=causes.NOT_WANTED,
        ),
    }
)


def faulty(firmware: Firmware, faults: Sequence[PlannedFault]) -> FaultyFirmware:
    """Return this firmware with these faults planned."""
    return FaultyFirmware(firmware, FaultPlan(tuple(faults)), DEVICE_FAULTS)
