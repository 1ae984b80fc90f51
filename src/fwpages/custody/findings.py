"""The vocabulary of findings: a name, a blame, a meaning and a remedy for each cause, in one table.

Everyone who reports that something is wrong passes a member of ``Cause`` and free text with the values. Name, blame
and remedy come from the member's row, so that a host that runs and an audit that reads its trace say the same. A name
may have several causes, each with its own blame and remedy. To add a finding is to add a row here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, unique

from fwpages.custody.remedies import (
    AGAIN,
    COOL,
    FENCE,
    FLR,
    FW_ACTIVATE,
    LATE,
    LATE_GIVE,
    LOAD_AGAIN,
    MODULE,
    OPEN_AGAIN,
    OTHER_FIRMWARE,
    POWER_CYCLE,
    READ_BACK,
    READ_LOG,
    REFUSE,
    RELOAD,
    RIGHT,
    SCAN_AGAIN,
    SLOT,
    TICKET,
    WHOLE_INPUT,
)
from fwpages.prm.identity import Identity
from fwpages.prm.opcodes import ManagePages, Opcode


class Blame(StrEnum):
    """The party at fault; ``UNKNOWN`` where the input does not tell."""

    HOST = "host"
    DEVICE = "device"
    LINK = "link"
    LOG = "log"
    UNKNOWN = "unknown"


@unique
class FindingName(StrEnum):
    """The names under which findings are reported."""

    PAGES_LEFT = "pages-left"
    PAGES_NOT_RETURNED = "pages-not-returned"
    PAGES_PENDING = "pages-pending"
    GIVEN_TWICE = "given-twice"
    BAD_ADDRESS = "bad-address"
    COUNT_MISMATCH = "count-mismatch"
    RETURNED_FOREIGN = "returned-foreign"
    RETURNED_TWICE = "returned-twice"
    RETURNED_NEVER_GIVEN = "returned-never-given"
    COUNT_OVER_ASKED = "count-over-asked"
    GIVE_CROSSED_RELEASE = "give-crossed-release"
    MEMORY_LET_GO = "memory-let-go"
    REQUEST_UNANSWERED = "request-unanswered"
    TAKE_SHORT = "take-short"
    GIVE_REFUSED = "give-refused"
    TAKE_REFUSED = "take-refused"
    COMMAND_REFUSED = "command-refused"
    TEARDOWN_REFUSED = "teardown-refused"
    TEARDOWN_STATE = "teardown-state"
    TEARDOWN_NOT_OFFERED = "teardown-not-offered"
    GIVE_UNANSWERED = "give-unanswered"
    TAKE_UNANSWERED = "take-unanswered"
    CANT_GIVE_UNANSWERED = "cant-give-unanswered"
    COMMAND_UNANSWERED = "command-unanswered"
    LATE_ANSWER = "late-answer"
    ANSWER_UNASKED = "answer-unasked"
    COMMAND_NOT_SENT = "command-not-sent"
    COMMAND_MALFORMED = "command-malformed"
    ANSWER_MALFORMED = "answer-malformed"
    DELIVERY_ERROR = "delivery-error"
    CANNOT_GIVE = "cannot-give"
    ALLOC_FAILED = "alloc-failed"
    PAGE_LIMIT = "page-limit"
    GIVE_DROPPED = "give-dropped"
    TAKE_DISCARDED = "take-discarded"
    IDENTITY_MISMATCH = "identity-mismatch"
    MODE_MISMATCH = "mode-mismatch"
    MODE_DISAGREEMENT = "mode-disagreement"
    CAPABILITY_DISAGREEMENT = "capability-disagreement"
    STARTUP_IDENTITY = "startup-identity"
    VHCA_ID_TWICE = "vhca-id-twice"
    ABSURD_COUNT = "absurd-count"
    REQUEST_DROPPED = "request-dropped"
    REQUEST_WITHOUT_EQ = "request-without-eq"
    STALE_PAGE_REQUEST = "stale-page-request"
    RELEASE_ALL_NOT_NEGOTIATED = "release-all-not-negotiated"
    RELEASE_ALL_OWN = "release-all-own"
    WAIT_TIMEOUT = "wait-timeout"
    LOAD_FAILED = "load-failed"
    LINK_LOST = "link-lost"
    NOT_FENCED = "not-fenced"
    DEVICE_ERROR = "device-error"
    RECOVERY_FAILED = "recovery-failed"
    OBJECTS_KEPT = "objects-kept"
    INTERRUPT_LOST = "interrupt-lost"
    IOMMU_FAULT = "iommu-fault"
    HIGH_TEMPERATURE = "high-temperature"
    SLOT_POWER = "slot-power"
    MODULE_ERROR = "module-error"
    COUNTERS_DISAGREE = "counters-disagree"
    LOG_LINES_LOST = "log-lines-lost"
    LOG_TRUNCATED = "log-truncated"
    LOG_AMBIGUOUS = "log-ambiguous"
    LOG_DISAGREES = "log-disagrees"


@dataclass(frozen=True, slots=True)
class Row:
    """One cause of a finding: the name and blame to report, what the name means here, what would resolve it."""

    name: StrEnum
    blame: Blame
    meaning: str
    remedy: str


class Causes(Enum):
    """A table of findings: each member's value is its ``Row``."""

    _value_: Row

    @property
    def finding(self) -> StrEnum:
        """The name to report."""
        return self.value.name

    @property
    def blame(self) -> Blame:
        """The party at fault."""
        return self.value.blame

    @property
    def meaning(self) -> str:
        """The meaning of the name here."""
        return self.value.meaning

    @property
    def remedy(self) -> str:
        """The remedy: a request, a function's reset, the device's reset, a better log."""
        return self.value.remedy


_N = FindingName


@unique
class Cause(Causes):
    """Every finding of host and audit: a row for each name and cause."""

    # what is left, and who has what
    PAGES_LEFT_NEVER_ASKED = Row(
        _N.PAGES_LEFT,
        Blame.HOST,
        "pages are still out after the close: the driver never asked for them",
        FENCE,
    )
    PAGES_LEFT_STOPPED_ASKING = Row(
        _N.PAGES_LEFT,
        Blame.HOST,
        "pages are still out after the close: the driver stopped asking while firmware still returned some",
        FENCE,
    )
    PAGES_LEFT_OPENED_ANEW = Row(
        _N.PAGES_LEFT,
        Blame.HOST,
        "pages are still out after an open that ended without a close and without a proven reset",
        FENCE,
    )
    PAGES_LEFT_CUT_OFF = Row(
        _N.PAGES_LEFT,
        Blame.HOST,
        "the device was reset, or its machine was gone, before the driver tore it down: it never asked for its pages",
        "a driver that tears the device down, or a machine that shuts down; these pages the reset has freed",
    )
    PAGES_LEFT_TAKE_UNANSWERED = Row(
        _N.PAGES_LEFT,
        Blame.DEVICE,
        "pages are still out after the close: the last TAKE was not answered",
        FENCE,
    )
    PAGES_LEFT_TAKE_REFUSED = Row(
        _N.PAGES_LEFT, Blame.DEVICE, "pages are still out after the close: the last TAKE was refused", FENCE
    )
    PAGES_LEFT_TAKE_EMPTY = Row(
        _N.PAGES_LEFT, Blame.DEVICE, "pages are still out after the close: the last TAKE returned none", FENCE
    )
    PAGES_LEFT_DEVICE_ERROR = Row(
        _N.PAGES_LEFT,
        Blame.DEVICE,
        "the device was in a fatal state, and the driver freed its pages without a command",
        FENCE,
    )
    PAGES_LEFT_BY_LINES = Row(
        _N.PAGES_LEFT, Blame.DEVICE, "the driver's own lines say that firmware did not return all pages", FENCE
    )
    PAGES_LEFT_LINK = Row(
        _N.PAGES_LEFT,
        Blame.LINK,
        "the link was lost, and the driver freed its pages without a command",
        FENCE,
    )
    PAGES_LEFT_OBJECTS = Row(
        _N.PAGES_LEFT,
        Blame.HOST,
        "pages are still out after the close: firmware keeps them for objects that the driver did not destroy",
        "the program or driver that still uses those objects ended before the unload; else " + FENCE,
    )
    PAGES_NOT_RETURNED = Row(
        _N.PAGES_NOT_RETURNED, Blame.DEVICE, "firmware stopped returning pages while the host closed", FENCE
    )
    PAGES_NOT_RETURNED_BY_TAKES = Row(
        _N.PAGES_NOT_RETURNED,
        Blame.DEVICE,
        "firmware answers one TAKE after the other OK and returns no page",
        f"nothing while the driver is loaded; {OTHER_FIRMWARE}; where pages are left after the close, {FENCE}",
    )
    PAGES_PENDING = Row(
        _N.PAGES_PENDING,
        Blame.DEVICE,
        "the driver stopped waiting for the pages of functions that are gone",
        "a TAKE for them, or " + FENCE,
    )
    GIVEN_TWICE = Row(
        _N.GIVEN_TWICE,
        Blame.HOST,
        "the driver gave a page that firmware has already, or may have",
        f"one TAKE of it; else {FENCE}",
    )
    BAD_ADDRESS = Row(
        _N.BAD_ADDRESS,
        Blame.HOST,
        "the driver named address 0, or one that is not a multiple of 4 KiB",
        "another page instead",
    )
    COUNT_MISMATCH = Row(
        _N.COUNT_MISMATCH,
        Blame.HOST,
        "the driver named another number of page addresses than the command's fields say",
        "the command again, with its count right",
    )
    RETURNED_FOREIGN = Row(
        _N.RETURNED_FOREIGN, Blame.DEVICE, "a TAKE's answer names a page of another function", REFUSE
    )
    RETURNED_TWICE = Row(
        _N.RETURNED_TWICE,
        Blame.DEVICE,
        "a TAKE's answer names a page that has come back already, or names it twice",
        REFUSE,
    )
    RETURNED_NEVER_GIVEN = Row(
        _N.RETURNED_NEVER_GIVEN, Blame.DEVICE, "a TAKE's answer names a page that was never given", REFUSE
    )
    COUNT_OVER_ASKED = Row(
        _N.COUNT_OVER_ASKED,
        Blame.DEVICE,
        "a TAKE's answer counts more pages than were asked for, or than it names",
        REFUSE,
    )
    GIVE_CROSSED_RELEASE = Row(
        _N.GIVE_CROSSED_RELEASE,
        Blame.LINK,
        "a GIVE was pending when firmware released all: it may or may not have those pages",
        "a TAKE that names them, or " + FENCE,
    )
    MEMORY_LET_GO = Row(
        _N.MEMORY_LET_GO,
        Blame.HOST,
        "the driver unmapped memory while firmware held it: what has the memory next can be overwritten",
        f"a driver that keeps memory mapped until firmware returns it or a reset is proven; for this memory {FENCE}",
    )
    REQUEST_UNANSWERED = Row(
        _N.REQUEST_UNANSWERED,
        Blame.HOST,
        "the driver closed the device, or lost it, without an answer to a page request",
        "a driver that queues every page request, and answers each by GIVE or CANT_GIVE",
    )
    TAKE_SHORT = Row(
        _N.TAKE_SHORT,
        Blame.DEVICE,
        "firmware returned fewer pages than it had asked the host to take back",
        "nothing: it asks again",
    )

    # refused, unanswered, malformed
    GIVE_REFUSED = Row(
        _N.GIVE_REFUSED,
        Blame.DEVICE,
        "the device refused a GIVE",
        "nothing: firmware asks again if it still needs the pages",
    )
    GIVE_REFUSED_WRONG = Row(
        _N.GIVE_REFUSED, Blame.HOST, "the device refused a GIVE that was not a valid command", RIGHT
    )
    TAKE_REFUSED = Row(
        _N.TAKE_REFUSED,
        Blame.DEVICE,
        "the device refused a TAKE: the pages stay held",
        f"the TAKE again, at the latest when closing; else {FENCE}",
    )
    TAKE_REFUSED_WRONG = Row(
        _N.TAKE_REFUSED, Blame.HOST, "the device refused a TAKE that was not a valid command", RIGHT
    )
    COMMAND_REFUSED = Row(_N.COMMAND_REFUSED, Blame.DEVICE, "the device refused a command", AGAIN)
    COMMAND_REFUSED_WRONG = Row(
        _N.COMMAND_REFUSED, Blame.HOST, "the device refused a command that was not valid", RIGHT
    )
    COMMAND_REFUSED_STATE = Row(
        _N.COMMAND_REFUSED,
        Blame.UNKNOWN,
        "the device took a command for wrong, or for sent at the wrong time: the driver's doing or firmware's",
        AGAIN,
    )
    TEARDOWN_REFUSED_STATE = Row(
        _N.TEARDOWN_REFUSED,
        Blame.UNKNOWN,
        "the device took TEARDOWN_HCA for sent at the wrong time: the driver's doing or firmware's",
        AGAIN,
    )
    TEARDOWN_REFUSED = Row(_N.TEARDOWN_REFUSED, Blame.DEVICE, "the device refused TEARDOWN_HCA", AGAIN)
    TEARDOWN_REFUSED_WRONG = Row(
        _N.TEARDOWN_REFUSED, Blame.HOST, "the device refused a TEARDOWN_HCA that was not valid", RIGHT
    )
    TEARDOWN_STATE = Row(_N.TEARDOWN_STATE, Blame.DEVICE, "TEARDOWN_HCA was answered OK, but not done", FLR)
    TEARDOWN_STATE_FAST = Row(
        _N.TEARDOWN_STATE,
        Blame.DEVICE,
        "firmware did not carry out a forced or fast TEARDOWN_HCA",
        f"nothing where the driver then unloads in the ordinary manner; else {FLR}",
    )
    TEARDOWN_NOT_OFFERED = Row(
        _N.TEARDOWN_NOT_OFFERED,
        Blame.HOST,
        "the driver asked for a forced or fast TEARDOWN_HCA that the current capabilities do not offer: it is not done",
        "a driver that goes by force_teardown (bit 0x110) and fast_teardown (bit 0xfb); bit 0x111 is neither",
    )
    GIVE_UNANSWERED = Row(
        _N.GIVE_UNANSWERED, Blame.DEVICE, "the device did not answer a GIVE: its pages are doubtful", LATE_GIVE
    )
    GIVE_UNANSWERED_LINK = Row(
        _N.GIVE_UNANSWERED,
        Blame.LINK,
        "the link gave up a GIVE without an answer: its pages are doubtful",
        LATE_GIVE,
    )
    GIVE_UNANSWERED_PATH = Row(
        _N.GIVE_UNANSWERED,
        Blame.UNKNOWN,
        "no answer to a GIVE was seen, and lines beside it say that the IOMMU or an interrupt failed: doubtful pages",
        LATE_GIVE,
    )
    TAKE_UNANSWERED = Row(
        _N.TAKE_UNANSWERED,
        Blame.DEVICE,
        "the device did not answer a TAKE: every page of its function is doubtful",
        LATE,
    )
    TAKE_UNANSWERED_LINK = Row(
        _N.TAKE_UNANSWERED,
        Blame.LINK,
        "the link gave up a TAKE without an answer: every page of its function is doubtful",
        LATE,
    )
    TAKE_UNANSWERED_PATH = Row(
        _N.TAKE_UNANSWERED,
        Blame.UNKNOWN,
        "no answer to a TAKE was seen, and lines beside it say that the IOMMU or an interrupt failed: doubtful pages",
        LATE,
    )
    CANT_GIVE_UNANSWERED = Row(
        _N.CANT_GIVE_UNANSWERED,
        Blame.DEVICE,
        "the device did not answer a CANT_GIVE, which is about no page",
        SLOT,
    )
    CANT_GIVE_UNANSWERED_LINK = Row(
        _N.CANT_GIVE_UNANSWERED,
        Blame.LINK,
        "the link gave up a CANT_GIVE without an answer, which is about no page",
        SLOT,
    )
    CANT_GIVE_UNANSWERED_PATH = Row(
        _N.CANT_GIVE_UNANSWERED,
        Blame.UNKNOWN,
        "no answer to a CANT_GIVE was seen, and lines beside it say that the IOMMU or an interrupt failed",
        SLOT,
    )
    COMMAND_UNANSWERED = Row(_N.COMMAND_UNANSWERED, Blame.DEVICE, "the device did not answer a command", SLOT)
    COMMAND_UNANSWERED_LINK = Row(
        _N.COMMAND_UNANSWERED, Blame.LINK, "the link gave up a command without an answer", SLOT
    )
    COMMAND_UNANSWERED_PATH = Row(
        _N.COMMAND_UNANSWERED,
        Blame.UNKNOWN,
        "no answer to a command was seen, and lines beside it say that the IOMMU failed",
        SLOT,
    )
    LATE_ANSWER = Row(
        _N.LATE_ANSWER,
        Blame.DEVICE,
        "an answer came after the driver had given up on it",
        "nothing: its slot is free again; pages of a GIVE that the driver freed by then need what give-unanswered says",
    )
    STALE_ANSWER = Row(
        _N.LATE_ANSWER,
        Blame.DEVICE,
        "an answer came to a command whose session is over, or whose slot was given back",
        "nothing: nothing is taken from it",
    )
    ANSWER_UNASKED = Row(
        _N.ANSWER_UNASKED,
        Blame.DEVICE,
        "an answer came to a command that was never sent",
        f"nothing: nothing is taken from it; {OTHER_FIRMWARE}",
    )
    COMMAND_NOT_SENT = Row(
        _N.COMMAND_NOT_SENT,
        Blame.HOST,
        "the driver could not send a command: no slot came free",
        f"a late answer to a command that holds a slot; else {SLOT}",
    )
    COMMAND_MALFORMED = Row(
        _N.COMMAND_MALFORMED,
        Blame.HOST,
        "a command is shorter than its fields, or has no op_mod of its own",
        "the command again, with its proper length and fields",
    )
    ANSWER_MALFORMED = Row(
        _N.ANSWER_MALFORMED,
        Blame.DEVICE,
        "an answer is shorter than its fields",
        f"{FENCE}; {OTHER_FIRMWARE}",
    )
    ANSWER_MISDELIVERED = Row(_N.ANSWER_MALFORMED, Blame.LINK, "an answer is one to another command", FENCE)
    DELIVERY_ERROR = Row(
        _N.DELIVERY_ERROR,
        Blame.LINK,
        "a command did not arrive well: its queue entry or mailboxes are wrong",
        "the command again",
    )
    CANNOT_GIVE = Row(
        _N.CANNOT_GIVE,
        Blame.HOST,
        "the host said CANT_GIVE: it cannot give what firmware asked for",
        "free memory; firmware asks again",
    )
    ALLOC_FAILED = Row(
        _N.ALLOC_FAILED, Blame.HOST, "the host had no memory to give", "free memory; firmware asks again"
    )
    GIVE_DROPPED = Row(
        _N.GIVE_DROPPED,
        Blame.UNKNOWN,
        "the driver counts pages of GIVEs that failed: it freed them, and firmware has them if it carried that out",
        READ_LOG,
    )
    TAKE_DISCARDED = Row(
        _N.TAKE_DISCARDED,
        Blame.UNKNOWN,
        "the driver counts pages that TAKEs asked for and that failed: they are still firmware's",
        READ_LOG,
    )
    PAGE_LIMIT = Row(
        _N.PAGE_LIMIT,
        Blame.HOST,
        "the driver gave fewer pages than firmware asked for, as the function's limit of pages is reached",
        "a higher limit, or none (`page_limit` of the vendor's driver, in sysfs at the VF's directory), which "
        "interrupts nothing; firmware asks again",
    )

    # identities and modes
    IDENTITY_MISMATCH = Row(
        _N.IDENTITY_MISMATCH,
        Blame.HOST,
        "a command names a function as the other identity mode does, or not the function it is for",
        f"a driver that names functions as its session's mode does; {OPEN_AGAIN}",
    )
    IDENTITY_MISMATCH_DEVICE = Row(
        _N.IDENTITY_MISMATCH,
        Blame.DEVICE,
        "an answer or event names a function as the other identity mode does",
        f"{OPEN_AGAIN}; {OTHER_FIRMWARE}",
    )
    MODE_MISMATCH = Row(
        _N.MODE_MISMATCH,
        Blame.HOST,
        "the driver names functions in another mode than its commands have negotiated",
        OPEN_AGAIN,
    )
    MODE_DISAGREEMENT = Row(
        _N.MODE_DISAGREEMENT, Blame.DEVICE, "the mode read back is not the one that was set", READ_BACK
    )
    CAPABILITY_DISAGREEMENT = Row(
        _N.CAPABILITY_DISAGREEMENT,
        Blame.DEVICE,
        "a capability read back is not what was set, or not what it was before",
        READ_BACK,
    )
    STARTUP_IDENTITY = Row(
        _N.STARTUP_IDENTITY,
        Blame.DEVICE,
        "start-up pages are asked for under another identity than the function's",
        f"{OPEN_AGAIN}; {OTHER_FIRMWARE}",
    )
    VHCA_ID_TWICE = Row(
        _N.VHCA_ID_TWICE,
        Blame.DEVICE,
        "two functions answer with the same vhca_id",
        f"{FW_ACTIVATE}; {OTHER_FIRMWARE}",
    )

    # requests
    ABSURD_REQUEST = Row(
        _N.ABSURD_COUNT,
        Blame.DEVICE,
        "a page request asks for more than the host lends in all",
        "nothing: the host says CANT_GIVE",
    )
    ABSURD_TAKE_BACK = Row(
        _N.ABSURD_COUNT,
        Blame.DEVICE,
        "firmware wants more pages taken back than are out",
        "nothing: the host takes back what is out",
    )
    ABSURD_STARTUP = Row(
        _N.ABSURD_COUNT,
        Blame.DEVICE,
        "the device wants more start-up pages than the host lends in all: the open fails",
        f"{FW_ACTIVATE}; {OTHER_FIRMWARE}",
    )
    STARTUP_NEGATIVE = Row(
        _N.ABSURD_COUNT,
        Blame.DEVICE,
        "firmware wants pages back before it works, which drivers do not expect there",
        f"another firmware; {TICKET}",
    )
    REQUEST_DROPPED = Row(
        _N.REQUEST_DROPPED,
        Blame.HOST,
        "the host had no room to queue a page request",
        "nothing: firmware asks again, or keeps the pages that it wanted to return",
    )
    REQUEST_WITHOUT_EQ = Row(
        _N.REQUEST_WITHOUT_EQ,
        Blame.DEVICE,
        "a page request came while no event queue for it existed",
        f"nothing: the host does not follow it; {OTHER_FIRMWARE}",
    )
    STALE_PAGE_REQUEST = Row(
        _N.STALE_PAGE_REQUEST,
        Blame.LINK,
        "a page request of an earlier session came in",
        "nothing: it is not followed",
    )
    RELEASE_ALL_NOT_NEGOTIATED = Row(
        _N.RELEASE_ALL_NOT_NEGOTIATED,
        Blame.DEVICE,
        "release_all came although its capability was not set: the pages stay held",
        f"a TAKE of the pages; else {FENCE}",
    )
    RELEASE_ALL_OWN = Row(
        _N.RELEASE_ALL_OWN,
        Blame.DEVICE,
        "release_all came for the supplier's own function while it was open: the pages stay held",
        f"a TAKE of the pages; else {FENCE}",
    )
    WAIT_TIMEOUT = Row(
        _N.WAIT_TIMEOUT, Blame.DEVICE, "pages of functions that are gone did not come back in time", FENCE
    )

    # a load that does not succeed
    LOAD_FAILED = Row(_N.LOAD_FAILED, Blame.UNKNOWN, "the driver could not load on the function", LOAD_AGAIN)
    LOAD_FAILED_LINK = Row(
        _N.LOAD_FAILED,
        Blame.LINK,
        "the load failed as the device cannot be reached: its link is lost, or what is read of it is all ones",
        "the slot: seating, power, riser and cable, and in a virtual machine that the function is still attached; then "
        + LOAD_AGAIN,
    )
    LOAD_FAILED_NOT_READY = Row(
        _N.LOAD_FAILED,
        Blame.DEVICE,
        "the load failed as firmware did not become ready: no command was sent",
        "a power cycle of the machine, which interrupts all of it (a warm restart does not restart firmware); if it "
        "comes again, firmware burned anew (flint), or " + TICKET,
    )
    LOAD_FAILED_PCI = Row(
        _N.LOAD_FAILED,
        Blame.UNKNOWN,
        "the load failed as the kernel could not use the PCI function: no command was sent",
        "the platform's lines about the function's BARs and DMA (dmesg, lspci -vv); " + LOAD_AGAIN,
    )
    LOAD_FAILED_NO_PATH = Row(
        _N.LOAD_FAILED,
        Blame.UNKNOWN,
        "the load failed as the first command got no answer: the path to and from the device was never proven",
        "bus mastering (lspci -vv: BusMaster+), ARI forwarding in the bridge above (ARIFwd+), IOMMU group and faults "
        "(DMAR, AMD-Vi), the function's routing; a reset helps none of these",
    )
    LOAD_FAILED_LATE = Row(
        _N.LOAD_FAILED,
        Blame.DEVICE,
        "the load failed as the device answered a command only after the driver had given it up",
        f"firmware is slow, and the late answer proves the path to it and back: {LOAD_AGAIN}; if it comes again, "
        + TICKET,
    )
    LOAD_FAILED_IOMMU = Row(
        _N.LOAD_FAILED,
        Blame.UNKNOWN,
        "the load failed as a command got no answer while the IOMMU blocked what the device read or wrote",
        "the IOMMU: whether the requester that it names is this function, the function's group and domain, what the "
        "machine's firmware reserves there; no reset helps",
    )
    LOAD_FAILED_INTERRUPT = Row(
        _N.LOAD_FAILED,
        Blame.UNKNOWN,
        "the load failed as no answer to a command was seen while interrupts went nowhere",
        "the platform's interrupts: 'No irq handler for vector', interrupt remapping, CPU hot-plug; " + LOAD_AGAIN,
    )
    LOAD_FAILED_UNANSWERED = Row(
        _N.LOAD_FAILED,
        Blame.DEVICE,
        "the load failed as the device stopped answering commands",
        LOAD_AGAIN + "; if it comes again, " + TICKET,
    )
    LOAD_FAILED_REFUSED = Row(
        _N.LOAD_FAILED,
        Blame.DEVICE,
        "the load failed as the device refused a command for a reason of its own",
        LOAD_AGAIN + "; if it comes again, " + TICKET,
    )
    LOAD_FAILED_STATE = Row(
        _N.LOAD_FAILED,
        Blame.UNKNOWN,
        "the load failed as the device refused a command that it took for wrong, or for sent at the wrong time: the "
        "driver's doing or firmware's",
        "driver and firmware of one release, and no function of the card left half open by a load before; "
        + LOAD_AGAIN,
    )
    LOAD_FAILED_NO_MEMORY = Row(
        _N.LOAD_FAILED,
        Blame.HOST,
        "the load failed as the host had no memory that the device can use",
        "free memory (for DMA: IOMMU group, DMA mask, swiotlb); firmware does not ask again: " + LOAD_AGAIN,
    )

    # link and device
    RECOVERY_FAILED = Row(
        _N.RECOVERY_FAILED,
        Blame.UNKNOWN,
        "the driver could not bring a failed device back",
        f"{TICKET}; {RELOAD}; if that fails, {POWER_CYCLE}",
    )
    OBJECTS_KEPT = Row(
        _N.OBJECTS_KEPT,
        Blame.HOST,
        "the driver did not destroy objects of its own in the device, which keeps the pages that they live in",
        "the program or driver that still uses those objects ended before the unload",
    )
    INTERRUPT_LOST = Row(
        _N.INTERRUPT_LOST,
        Blame.UNKNOWN,
        "the device had completed commands, and no interrupt announced it: the driver found them by looking",
        "nothing for the commands: they are done; look for lost interrupts in the platform (irqbalance, CPU hot-plug, "
        "'No irq handler for vector', interrupt remapping)",
    )
    IOMMU_FAULT = Row(
        _N.IOMMU_FAULT,
        Blame.UNKNOWN,
        "the IOMMU blocked an access of the device: to a page that it does not have, or that was unmapped too early",
        "the address of the fault, looked for among the pages of a log with command dumps: firmware's if it was given "
        f"and not returned; {TICKET}",
    )
    LINK_LOST = Row(
        _N.LINK_LOST,
        Blame.LINK,
        "the link to the device was lost: firmware may still write to what was out",
        f"the link first; then {FENCE}",
    )
    NOT_FENCED = Row(
        _N.NOT_FENCED,
        Blame.LINK,
        "a reset was not proven: firmware may still write to what was out",
        f"{FENCE}; else {POWER_CYCLE}",
    )
    LINK_ALL_ONES = Row(
        _N.LINK_LOST,
        Blame.LINK,
        "the driver reads all ones, or the PCI channel is offline: the device is not reached",
        "look for the cause at the PCI link: AER, DPC, EEH, hot-plug and power of the slot; then, if the device has "
        "not recovered by itself, " + SCAN_AGAIN,
    )
    DEVICE_ERROR = Row(
        _N.DEVICE_ERROR,
        Blame.DEVICE,
        "the driver found the device in a fatal state",
        f"{TICKET}; {RELOAD}",
    )
    DEVICE_ERROR_DISABLED = Row(
        _N.DEVICE_ERROR,
        Blame.UNKNOWN,
        "the function was disabled or reset while its driver used it: by another driver, by firmware, or as its link "
        "was gone for a moment",
        "see what was done to the card then (mlxfwreset, a reload of another function, for a VF its host), and whether "
        f"AER or hot-plug lines stand near; {RELOAD}",
    )
    DEVICE_ERROR_FIRMWARE = Row(
        _N.DEVICE_ERROR,
        Blame.DEVICE,
        "firmware reported an error of its own, with a syndrome",
        f"{TICKET}; {RELOAD}; another firmware if it comes again",
    )
    DEVICE_ERROR_HARDWARE = Row(
        _N.DEVICE_ERROR,
        Blame.DEVICE,
        "firmware reported an error of the card's hardware",
        f"{TICKET}; {POWER_CYCLE}; another card if it comes again",
    )
    DEVICE_ERROR_ICM = Row(
        _N.DEVICE_ERROR,
        Blame.UNKNOWN,
        "firmware could not read the pages that it was given over PCI: the device, the link, the IOMMU or the memory",
        f"look for errors of PCI (AER), the IOMMU (DMAR, AMD-Vi) and the memory (EDAC, MCE) at this time; {TICKET}; "
        f"{RELOAD}",
    )
    DEVICE_ERROR_LOCKDOWN = Row(
        _N.DEVICE_ERROR,
        Blame.DEVICE,
        "firmware locked itself down, as something that it must trust was not as it should be",
        TICKET,
    )
    DEVICE_ERROR_COLD = Row(
        _N.DEVICE_ERROR,
        Blame.DEVICE,
        "firmware reported an error after which it needs a cold reset",
        f"{TICKET}; {POWER_CYCLE}: firmware says that no other reset helps",
    )
    HIGH_TEMPERATURE = Row(
        _N.HIGH_TEMPERATURE,
        Blame.UNKNOWN,
        "firmware stopped, as the card is too hot: its cooling, or the card",
        COOL,
    )
    TEMPERATURE_WARNING = Row(
        _N.HIGH_TEMPERATURE, Blame.UNKNOWN, "firmware warned that sensors of the card are too hot", COOL
    )
    SLOT_POWER = Row(
        _N.SLOT_POWER,
        Blame.HOST,
        "the PCIe slot gives, or advertises, less power than the card or its modules need",
        "another slot, the slot's power limit in the machine's firmware setup, or the card's auxiliary power cable; "
        "each means to switch the machine off",
    )
    MODULE_ERROR = Row(
        _N.MODULE_ERROR,
        Blame.UNKNOWN,
        "the cable or transceiver of a port is in error",
        f"plug it in again, or another that the card supports, which interrupts this port; {MODULE}",
    )
    COUNTERS_DISAGREE = Row(
        _N.COUNTERS_DISAGREE,
        Blame.HOST,
        "the driver's own page counters are not what its commands add up to",
        "a newer driver, which takes down the function's interfaces and VFs when it is loaded",
    )
    COUNTER_NOT_LISTS = Row(
        _N.COUNTERS_DISAGREE,
        Blame.UNKNOWN,
        "the driver's page counters are not what its own lists of pages add up to",
        "nothing while it is loaded: the lists say how much memory is out; the kernel's log may have `page not found`, "
        "or a page command that failed; a newer driver, which takes down the function's interfaces and VFs when it is "
        "loaded",
    )

    # the input
    LOG_LINES_LOST = Row(
        _N.LOG_LINES_LOST, Blame.LOG, "lines are missing: what depends on them is not counted", WHOLE_INPUT
    )
    LOG_TRUNCATED = Row(
        _N.LOG_TRUNCATED, Blame.LOG, "the input ends too early; what could be read was", "the whole file"
    )
    LOG_AMBIGUOUS = Row(
        _N.LOG_AMBIGUOUS,
        Blame.LOG,
        "dump lines name no device, and two dumps were in progress at once",
        "one device's dumps at a time, or a kernel with CONFIG_PRINTK_CALLER",
    )
    LOG_DISAGREES = Row(_N.LOG_DISAGREES, Blame.LOG, "the driver's one-line messages contradict its dumps", WHOLE_INPUT)


#: by what MANAGE_PAGES asks; the first is the device's doing, the second of an invalid command, or the link's
_REFUSED: dict[int, tuple[Cause, Cause]] = {
    ManagePages.GIVE: (Cause.GIVE_REFUSED, Cause.GIVE_REFUSED_WRONG),
    ManagePages.TAKE: (Cause.TAKE_REFUSED, Cause.TAKE_REFUSED_WRONG),
}
_UNANSWERED: dict[int, tuple[Cause, Cause]] = {
    ManagePages.GIVE: (Cause.GIVE_UNANSWERED, Cause.GIVE_UNANSWERED_LINK),
    ManagePages.TAKE: (Cause.TAKE_UNANSWERED, Cause.TAKE_UNANSWERED_LINK),
    ManagePages.CANT_GIVE: (Cause.CANT_GIVE_UNANSWERED, Cause.CANT_GIVE_UNANSWERED_LINK),
}


def refused(opcode: int, op_mod: int, *, valid: bool) -> Cause:
    """The finding for a command that the device refused; ``valid`` where nothing was wrong with it."""
    causes = Cause.COMMAND_REFUSED, Cause.COMMAND_REFUSED_WRONG
    if opcode == Opcode.MANAGE_PAGES:
        causes = _REFUSED.get(op_mod, causes)
    elif opcode == Opcode.TEARDOWN_HCA:
        causes = Cause.TEARDOWN_REFUSED, Cause.TEARDOWN_REFUSED_WRONG
    return causes[not valid]


def unanswered(opcode: int, op_mod: int, *, by_link: bool) -> Cause:
    """The finding for a command that got no answer; ``by_link`` where the link gave it up."""
    causes = Cause.COMMAND_UNANSWERED, Cause.COMMAND_UNANSWERED_LINK
    if opcode == Opcode.MANAGE_PAGES:
        causes = _UNANSWERED.get(op_mod, causes)
    return causes[by_link]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its cause, the function, and how many 4 KiB pages it is about.

    ``function`` is None where it is about none, or several; ``pages`` where it is not about pages. Where it happened
    more than once (``times``), ``pages`` and ``detail`` (what was being done, with which values) are those of the
    time that it was about the most pages, ``at`` is the first.
    """

    cause: Causes
    function: Identity | None = None
    pages: int | None = None
    detail: str = ""
    session: int = 0
    times: int = 1
    at: float = field(default=0.0, compare=False)

    @property
    def name(self) -> StrEnum:
        """The name to report."""
        return self.cause.finding

    @property
    def blame(self) -> Blame:
        """The party at fault."""
        return self.cause.blame

    @property
    def remedy(self) -> str:
        """The remedy."""
        return self.cause.remedy
