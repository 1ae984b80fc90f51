"""The rules that a driver can break: the name of each, what the driver did, the answer's status, the remedy.

To add an offence is to add a row here. Four names are findings of the audit too: they share that row's words.
"""

from __future__ import annotations

from enum import StrEnum, unique

from fwpages.custody.findings import Cause
from fwpages.prm.status import Status

_FIELDS = "a driver that sets the command's fields as the manual has them"
_ORDER = "a driver that keeps to the order of commands"
_NAMES = "a driver that names functions as its session's mode does"


@unique
class OffenceName(StrEnum):
    """One rule that a driver broke; its value is the name. ``status`` answers the command, OK if it was executed."""

    meaning: str
    status: Status
    remedy: str

    def __new__(cls, name: str, status: Status, meaning: str, remedy: str) -> OffenceName:
        """Make a member of its row."""
        new = str.__new__(cls, name)
        new._value_ = name
        new.status, new.meaning, new.remedy = status, meaning, remedy
        return new

    UNKNOWN_COMMAND = (
        "unknown-command",
        Status.BAD_OP,
        "the driver sent an opcode that this firmware does not execute",
        "a driver that sends commands of this device's capabilities alone",
    )
    WRONG_STATE = (
        "wrong-state",
        Status.BAD_SYS_STATE,
        "the driver sent a command that is not allowed at this point of the session",
        _ORDER,
    )
    PAGES_MISSING = (
        "pages-missing",
        Status.BAD_SYS_STATE,
        "the driver sent INIT_HCA before all boot and init pages were given",
        "a driver that gives all boot and init pages before INIT_HCA",
    )
    REPLY_TOO_SMALL = (
        "reply-too-small",
        Status.BAD_OUTP_LEN,
        "the driver set aside fewer bytes for the answer than the command asks for",
        "a driver that sets aside as many bytes as the answer has",
    )
    BAD_LENGTH = (
        "bad-length",
        Status.BAD_INP_LEN,
        "the driver sent data of another length than the command has",
        "a driver that sends the command's own length",
    )
    COUNT_MISMATCH = "count-mismatch", Status.BAD_INP_LEN, Cause.COUNT_MISMATCH.meaning, Cause.COUNT_MISMATCH.remedy
    BAD_OP_MOD = "bad-op-mod", Status.BAD_PARAM, "the driver used an op_mod that the command does not have", _FIELDS
    BAD_PARAMETER = (
        "bad-parameter",
        Status.BAD_PARAM,
        "the driver set a field to a value that the command does not have",
        _FIELDS,
    )
    IDENTITY_MODE = (
        "identity-mode",
        Status.BAD_PARAM,
        "the driver named a function as the other identity mode does",
        _NAMES,
    )
    UNKNOWN_FUNCTION = (
        "unknown-function",
        Status.BAD_PARAM,
        "the driver named a function that this device does not have",
        _NAMES,
    )
    EMPTY_GIVE = (
        "empty-give",
        Status.BAD_PARAM,
        "the driver sent a GIVE of no pages",
        "a driver that sends CANT_GIVE where it has nothing to give",
    )
    UNREQUESTED_GIVE = (
        "unrequested-give",
        Status.LIM_ERR,
        "the driver gave a function more pages than firmware wants for it",
        "a driver that gives as many pages as firmware asked for",
    )
    BAD_ADDRESS = "bad-address", Status.BAD_PARAM, Cause.BAD_ADDRESS.meaning, Cause.BAD_ADDRESS.remedy
    REPEATED_PAGE = (
        "repeated-page",
        Status.BAD_PARAM,
        "the driver named a page more than once in one command",
        "a driver that names each page once",
    )
    GIVEN_TWICE = "given-twice", Status.BAD_RES_STATE, Cause.GIVEN_TWICE.meaning, Cause.GIVEN_TWICE.remedy
    MEMORY_IN_USE = (
        "memory-in-use",
        Status.BAD_RES_STATE,
        "the driver used memory for two things at once: lent as a page and for an event queue, or for two event queues",
        "a driver that uses memory for one thing at a time",
    )
    TOO_SCATTERED = (
        "too-scattered",
        Status.NO_RES_ERR,
        "the driver gave pages spread over more address space than firmware can map",
        "a driver that gives pages of fewer address ranges",
    )
    CAPABILITY_NOT_OFFERED = (
        "capability-not-offered",
        Status.BAD_PARAM,
        "the driver set a capability beyond what the maximum capabilities offer",
        "a driver that sets capabilities within the maximum",
    )
    MODE_BACK = (
        "mode-back",
        Status.BAD_PARAM,
        "the driver tried to leave VHCA_ID mode within a session",
        "a new open, in which FUNC_ID mode is kept",
    )
    ISSI_NOT_SUPPORTED = (
        "issi-not-supported",
        Status.BAD_PARAM,
        "the driver chose an ISSI that QUERY_ISSI does not offer",
        "a driver that chooses one of QUERY_ISSI's",
    )
    VHCA_ID_IN_USE = (
        "vhca-id-in-use",
        Status.RES_BUSY,
        "the driver enabled a function whose vhca_id belongs to another that is enabled",
        "DISABLE_HCA of the function that has the vhca_id; then the command again",
    )
    ALREADY_ENABLED = "already-enabled", Status.BAD_RES_STATE, "the driver enabled a function that is enabled", _ORDER
    NOT_ENABLED = "not-enabled", Status.BAD_RES_STATE, "the driver disabled a function that is not enabled", _ORDER
    NOT_AN_SF = (
        "not-an-sf",
        Status.BAD_PARAM,
        "the driver used ALLOC_SF or DEALLOC_SF on a function that is no SF",
        "ENABLE_HCA or DISABLE_HCA for this function",
    )
    SF_ALLOCATED = "sf-allocated", Status.BAD_RES_STATE, "the driver allocated an SF that is allocated", _ORDER
    SF_NOT_ALLOCATED = "sf-not-allocated", Status.BAD_RES_STATE, "the driver used an SF that is not allocated", _ORDER
    UNKNOWN_RESOURCE = (
        "unknown-resource",
        Status.BAD_RES,
        "the driver named a UAR or an EQ that does not exist",
        "a driver that names what it allocated and has not released",
    )
    RESOURCE_IN_USE = (
        "resource-in-use",
        Status.RES_BUSY,
        "the driver released a UAR that an EQ uses",
        "DESTROY_EQ of the EQs that use it, before",
    )
    TOO_MANY_RESOURCES = (
        "too-many-resources",
        Status.NO_RES_ERR,
        "the driver allocated more UARs or EQs than there are",
        "a driver that releases what it no longer needs",
    )
    SECOND_PAGES_EQ = (
        "second-pages-eq",
        Status.BAD_RES_STATE,
        "the driver created a second EQ for page requests",
        "one EQ for page requests",
    )
    TEARDOWN_NOT_OFFERED = (
        "teardown-not-offered",
        Status.OK,
        Cause.TEARDOWN_NOT_OFFERED.meaning,
        Cause.TEARDOWN_NOT_OFFERED.remedy,
    )
    DISABLED_WITH_PAGES = (
        "disabled-with-pages",
        Status.OK,
        "the driver sent DISABLE_HCA while firmware held pages, which it then keeps until a reset; only recorded",
        "a driver that takes all pages back before DISABLE_HCA; these: a function-level reset",
    )


class RefusedError(Exception):
    """A command is refused, and nothing was changed. Never leaves ``Firmware``."""

    def __init__(self, name: OffenceName, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail

    @property
    def status(self) -> Status:
        """The status that answers the command."""
        return self.name.status
