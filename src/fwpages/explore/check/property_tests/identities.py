"""Tests of identities: the mode of both sides, and the function that a page command names."""

from __future__ import annotations

from fwpages.device import Completed, Phase, Submitted
from fwpages.device.firmware.offences import OffenceName
from fwpages.explore.model.world import World
from fwpages.host import PageRequest, Send
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode

_PAGE_COMMANDS = (Opcode.MANAGE_PAGES, Opcode.QUERY_PAGES)
#: offences of a command that names no function in firmware's mode
_REFUSED = (OffenceName.IDENTITY_MODE, OffenceName.UNKNOWN_FUNCTION)


def mode_disagreement(w: World) -> str | None:
    """A session is in use, and the two sides name functions in different modes."""
    view = w.view
    if not view.open or w.firmware.inner.phase is not Phase.WORKING or view.mode is w.firmware.mode:
        return None
    return f"the driver names functions by {view.mode}, firmware by {w.firmware.mode}"


def misnamed(w: World) -> str | None:
    """A page command is read as of another function than the driver meant, or refused as of none.

    A query that is refused moves no pages: the start-up that made it fails.
    """
    commands = (x.command for x in w.device_inputs if isinstance(x, Submitted))
    return next((seen for c in commands if c.opcode in _PAGE_COMMANDS and (seen := _misread(w, c)) is not None), None)


def _misread(w: World, c: Command) -> str | None:
    mode = w.view.mode
    meant, read = w.function_of(c, mode), w.function_of(c, w.firmware.mode)
    refused = next((o.name for o in w.offences if o.name in _REFUSED), None)
    accepted = any(isinstance(e, Completed) and e.answer.ok for e in w.device_effects)
    if not ((refused and c.opcode == Opcode.MANAGE_PAGES) or (meant != read and accepted)):
        return None
    answer = f", which refused it ({refused})" if refused else ""
    if meant == read:
        return f"{c} for {meant} was sent to firmware{answer}"
    modes = f"the driver names functions by {mode}, firmware by {w.firmware.mode}"
    return f"{c} for {meant} is one for {read} to firmware{answer}: {modes}"


def stale_request(w: World) -> str | None:
    """A page request of an earlier session makes the driver send a page command."""
    old = [x for x in w.driver_inputs if isinstance(x, PageRequest) and x.session != w.session]
    sent = [e for e in w.driver_effects if isinstance(e, Send) and e.command.opcode == Opcode.MANAGE_PAGES]
    return f"{sent[0].command} follows from a request of session {old[0].session}" if old and sent else None
