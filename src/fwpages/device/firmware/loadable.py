"""A firmware that an unmodified driver can load on: it also answers the commands that have nothing to do with pages.

Linux does not finish its load unless some hundred further commands are answered. They are answered OK with fresh ids
and without effect (``other_commands``), and capabilities come from whole pages as a device gave them.
"""

from __future__ import annotations

from collections.abc import Sequence

from fwpages.device.firmware.capability_commands import query_hca_cap
from fwpages.device.firmware.firmware import Firmware
from fwpages.device.firmware.functions import FunctionSpec
from fwpages.device.firmware.io import Completed, Effect, Offence, Submitted
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.other_commands import MOST_IDS, OTHER, done, makes
from fwpages.device.firmware.state import Phase, State
from fwpages.device.profiles import Profile
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, Opcode

_OPEN = (Phase.STARTING, Phase.WORKING, Phase.CLOSING)


class LoadableFirmware(Firmware):
    """A firmware with ``pages``, capability pages as a device gave them, by (type, current).

    Fields of the general page that the profile names come from the profile, the others from the page. Pages of other
    types can be set without a check and last until the next session.
    """

    __slots__ = ("_ids", "_pages", "_set")

    def __init__(
        self,
        profile: Profile,
        functions: Sequence[FunctionSpec] = (),
        *,
        offer_vhca_id: bool | None = None,
        pages: dict[tuple[int, bool], bytes] | None = None,
    ) -> None:
        super().__init__(profile, functions, offer_vhca_id=offer_vhca_id)
        self._pages = dict(pages or {})
        #: pages that SET_HCA_CAP set, by type
        self._set: dict[int, bytes] = {}
        self._ids = 0

    def _command(self, x: Submitted) -> list[Effect]:
        c, s = x.command, self._state
        try:
            if c.opcode in OTHER:
                return [Completed(x.id, self._other(s, c))]
            if c.opcode == Opcode.QUERY_HCA_CAP and not c["other_function"]:
                return [Completed(x.id, self._query(s, c))]
            if c.opcode == Opcode.SET_HCA_CAP and not c["other_function"]:
                return self._set_cap(s, x)
        except RefusedError as e:
            offence = Offence(e.name, None, e.detail)
            self._offences.append(offence)
            return [offence, Completed(x.id, Answer(c.opcode, e.status))]
        if c.opcode == Opcode.ENABLE_HCA and s.phase is Phase.OFF:
            self._set.clear()
        return super()._command(x)

    def _other(self, s: State, c: Command) -> Answer:
        s.require(c, *_OPEN)
        if s.booting:
            raise RefusedError(OffenceName.WRONG_STATE, f"{OTHER[c.opcode]}, {s.startup_need} boot pages missing")
        if makes(c.opcode):
            self._ids = self._ids % MOST_IDS + 1
        return done(c, self._ids)

    def _query(self, s: State, c: Command) -> Answer:
        s.require(c, Phase.STARTING, Phase.WORKING)
        kind, current = c.op_mod >> 1, bool(c.op_mod & CAP_CURRENT)
        given = self._pages.get((kind, current), bytes(CAP_PAGE))
        if current:
            given = self._set.get(kind, given)
        if s.booting or kind == CapType.GENERAL:
            answer = query_hca_cap(s, c) if not s.booting else _too_early(s)
            return Answer(c.opcode, data=GENERAL.patch(given, self._own(answer.data)))
        return Answer(c.opcode, data=given)

    def _set_cap(self, s: State, x: Submitted) -> list[Effect]:
        """Keep the fields that have no name, where the page is a real device's; ``Firmware`` checks the others."""
        c = x.command
        kind = c.op_mod >> 1
        if len(c.data) != CAP_PAGE or c.op_mod & CAP_CURRENT:
            return super()._command(x)
        if kind != CapType.GENERAL:
            s.require(c, Phase.STARTING)
            self._set[kind] = c.data
            return [Completed(x.id, Answer(c.opcode))]
        if (CapType.GENERAL, False) not in self._pages:
            return super()._command(x)
        try:
            named = GENERAL.pack(self._own(c.data))
        except LayoutError as e:
            raise RefusedError(OffenceName.BAD_LENGTH, str(e)) from None
        effects = super()._command(Submitted(x.id, Command(c.opcode, c.op_mod, c.fields, data=named), x.reply_length))
        if any(isinstance(e, Completed) and e.answer.ok for e in effects):
            self._set[kind] = c.data
        return effects

    def _own(self, page: bytes) -> dict[str, int]:
        """Return the fields of a general page that the profile names."""
        return {name: value for name, value in read_general(page).items() if name in self._state.device.max}

    def clone(self) -> LoadableFirmware:
        """Return an independent copy in the same state."""
        new = LoadableFirmware.__new__(LoadableFirmware)
        plain = super().clone()
        new._state, new._static, new._offences = plain._state, plain._static, plain._offences
        new._pages, new._set, new._ids = self._pages, dict(self._set), self._ids
        return new

    def key(self) -> bytes:
        """As ``Firmware.key``, with the pages set and the ids given out."""
        return super().key() + repr((sorted(self._set.items()), self._ids)).encode()


def _too_early(s: State) -> Answer:
    raise RefusedError(OffenceName.WRONG_STATE, f"QUERY_HCA_CAP, {s.startup_need} boot pages missing")
