"""What can be found wrong: each finding's name, what it means, and what would resolve it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_FENCE = "a function-level reset of the supplier's function: only that proves that firmware no longer writes there"
_LATE = "a late answer settles it; else a function-level reset, until which the memory must not be used"
_REFUSE = "refuse the page, count the rest; a device reset if it comes again"
_AGAIN = "see status and syndrome; the request can be made again"
_LOG = "the whole input; of a log, a larger kernel buffer (log_buf_len=), no rate limits (printk.devkmsg, journald)"

_TABLE: dict[str, tuple[str, str]] = {
    # what is left, and who has what
    "pages-left": ("pages are still out after the close, or after an open that ended without one", _FENCE),
    "pages-not-returned": ("firmware stopped returning pages while the host closed", _FENCE),
    "pages-pending": (
        "the driver stopped waiting for the pages of functions that are gone",
        "a TAKE for them, or " + _FENCE,
    ),
    "given-twice": ("a GIVE names a page that firmware has already, or may have", "one TAKE of it; " + _FENCE),
    "bad-address": ("a GIVE names address 0, or one that is no multiple of 4096", "give another page instead"),
    "count-mismatch": ("a GIVE's count is not the number of its addresses", "the GIVE again, with its count right"),
    "returned-foreign": ("a TAKE's answer names a page of another function", _REFUSE),
    "returned-twice": ("a TAKE's answer names a page that has come back already, or names it twice", _REFUSE),
    "returned-never-given": ("a TAKE's answer names a page that nobody gave", _REFUSE),
    "count-over-asked": ("a TAKE's answer counts more pages than were asked for, or than it names", _REFUSE),
    "give-crossed-release": ("a GIVE was out when firmware released all: it may or may not have those pages", _FENCE),
    "take-short": ("firmware returned fewer pages than it had asked to be rid of", "nothing: it asks again"),
    # refused, unanswered, malformed
    "give-refused": ("the device refused a GIVE", "firmware asks again if it still needs the pages"),
    "take-refused": ("the device refused a TAKE: the pages stay held", "the TAKE again, at the latest when closing"),
    "command-refused": ("the device refused a command", _AGAIN),
    "teardown-refused": ("the device refused TEARDOWN_HCA", _AGAIN),
    "teardown-state": ("TEARDOWN_HCA was answered OK, but not done", "a function-level reset"),
    "give-unanswered": ("a GIVE was not answered: its pages are doubtful", _LATE),
    "take-unanswered": ("a TAKE was not answered: every page of its function is doubtful", _LATE),
    "cant-give-unanswered": ("a CANT_GIVE was not answered", _LATE),
    "command-unanswered": ("a command was not answered", "a function-level reset, which gives its slot back too"),
    "late-answer": (
        "an answer came after somebody had given up on it",
        "nothing for the pages: the answer settles them",
    ),
    "answer-unasked": ("an answer came to a command that was never sent", "a device reset if it comes again"),
    "command-not-sent": ("the driver could not send a command: no slot came free", "a function-level reset"),
    "command-malformed": ("a command is shorter than its fields", "the command again, with its proper length"),
    "answer-malformed": ("an answer is shorter than its fields, or is one to another command", "a device reset"),
    "delivery-error": ("a command did not arrive well: its queue entry or mailboxes are wrong", "the command again"),
    "cannot-give": ("the host told firmware that it cannot give", "free memory; firmware asks again"),
    "alloc-failed": ("the host had no memory to give", "free memory; firmware asks again"),
    # identities and modes
    "identity-mismatch": ("a command, answer or event names a function in the way of the other mode", "a new open"),
    "mode-mismatch": (
        "the driver names functions in another mode than its commands have negotiated",
        "a new open",
    ),
    "mode-disagreement": ("the mode read back is not the one that was set", "a new open"),
    "capability-disagreement": ("a capability read back is not what was set", "a new open"),
    "startup-identity": ("start-up pages are asked for under another identity than the function's", "a new open"),
    "vhca-id-twice": ("two functions answer with the same vhca_id", "a device reset"),
    # requests
    "absurd-count": (
        "a page request asks for more than any function can use, or back for more than is out",
        "nothing: it is cut",
    ),
    "request-dropped": ("the host had no room to queue a page request", "firmware asks again"),
    "request-without-eq": ("a page request came while no event queue for it existed", "a function-level reset"),
    "stale-page-request": ("a page request of an earlier session came in", "nothing: it is not followed"),
    "release-all-not-negotiated": ("release_all came though nobody had set its capability", "a TAKE of the pages"),
    "release-all-own": ("release_all came for the function itself while it was open", "a function-level reset"),
    "wait-timeout": ("pages of functions that are gone did not come back in time", _FENCE),
    # link and device
    "link-lost": ("the link to the device was lost: what was out may still be written to", "a device reset"),
    "not-fenced": ("a reset was not proven: what was out may still be written to", "a device reset"),
    "device-error": ("the driver found the device in a fatal state", "a function-level reset, else a device reset"),
    "counters-disagree": ("the driver's own page counters are not what its commands add up to", "a newer driver"),
    # the input
    "log-lines-lost": ("lines are missing: what depends on them is not counted", _LOG),
    "log-truncated": ("the input ends too early; what could be read was", "the whole file"),
    "log-ambiguous": (
        "dump lines name no device, and two dumps were under way at once",
        "one device's dumps at a time, or a kernel with CONFIG_PRINTK_CALLER",
    ),
    "log-disagrees": ("the driver's one-line messages contradict its dumps", _LOG),
}

#: name of each finding → what it means
FINDINGS: Mapping[str, str] = MappingProxyType({name: words for name, (words, _) in _TABLE.items()})

#: name of each finding → what would resolve it: a request, a function's reset, the device's reset, a better log
REMEDIES: Mapping[str, str] = MappingProxyType({name: remedy for name, (_, remedy) in _TABLE.items()})
