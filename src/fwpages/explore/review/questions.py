"""Nineteen questions about a patch: the argument or the reading, and the world in which each is settled.

The patch is "net/mlx5: Add VHCA_ID page management mode support"; ten questions are from the thread of its review, with
its author's answers, nine from reading what was merged.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question by number and id, which also names its world; ``fault``: what the world looks for, in words."""

    number: int
    id: str
    title: str
    argued: str
    fault: str


QUESTIONS: tuple[Question, ...] = (
    Question(
        1,
        "lock",
        "lock",
        "A vport command holds the e-switch's lock, firmware asks for pages before it completes that command, and the "
        "page path wants the same lock. The author: no real issue.",
        "a deadlock that only a time-out ends",
    ),
    Question(
        2,
        "types",
        "fall-through",
        "A vport that is neither host PF nor marked as SF or VF is taken for an EC VF. The author: correct in "
        "practice.",
        "pages counted under a type that their function is not of",
    ),
    Question(
        3,
        "early-give",
        "asymmetry, early give",
        "A function's pages are given before the e-switch knows its vhca_id, and come back after it does.",
        "a counter below zero, or one that counts pages which are not out",
    ),
    Question(
        4,
        "late-return",
        "asymmetry, late return",
        "A vport is removed, then its pages come back.",
        "a counter below zero, or one that counts pages which are not out",
    ),
    Question(
        5,
        "reuse",
        "reuse",
        "A vhca_id is used again for a function of another type while pages of the first are still out.",
        "a counter that is wrong, or memory freed that firmware has",
    ),
    Question(
        6,
        "boot-identity",
        "boot identity",
        "The boot answer names a function other than 0, and the mode changes. The author: it is always 0.",
        "boot pages that the two sides know under different names, or that are never freed",
    ),
    Question(
        7,
        "migration",
        "migration order",
        "Pages are freed while boot pages move to the new identity. The author: reordering is safer.",
        "a page that can be found under neither identity",
    ),
    Question(
        8,
        "mode",
        "offered, not enabled",
        "The driver goes by the max capability. The device offers the mode and it is not switched on, or a later step "
        "of capability setting fails.",
        "a session in two modes, or pages moved for another function than the driver meant",
    ),
    Question(
        9,
        "stale-mode",
        "stale mode",
        "A page request arrives between teardown and the next open. The author: both keep the mode until then.",
        "a request of an earlier session that is served, or a function misnamed",
    ),
    Question(
        10,
        "guard",
        "guard",
        "Teardown without an e-switch in VHCA_ID mode skips the checks by type. Do those that remain see a leak?",
        "a close with pages left, and no finding",
    ),
    Question(
        11,
        "give-timeout",
        "GIVE time-out",
        "A GIVE is not answered in time, and firmware has accepted it.",
        "memory freed that firmware owns",
    ),
    Question(
        12,
        "double-return",
        "double return",
        "Firmware returns a page twice, or one of another function, or one that was never given.",
        "memory freed that firmware owns, or a counter that leaves the books",
    ),
    Question(
        13,
        "forced-reclaim",
        "forced reclaim",
        "The link is given up while firmware is alive: are pages taken from it without its word?",
        "memory freed that firmware owns",
    ),
    Question(
        14,
        "counts",
        "huge or negative counts",
        "num_pages of -1, of -2^31, of 2^29; a negative answer to QUERY_PAGES.",
        "memory overrun, or an operation that never ends",
    ),
    Question(
        15,
        "endless-teardown",
        "endless teardown",
        "Firmware keeps answering TAKE with nothing, with unknown pages, or with a count of 0xffffffff.",
        "a teardown without an end",
    ),
    Question(
        16,
        "early-release",
        "early release",
        "A wait for all VF pages ends while pages that were given early are still out.",
        "a wait that ends while firmware has pages of the type",
    ),
    Question(
        17,
        "release-all",
        "release_all against GIVE",
        "A release_all event and a GIVE of the same function cross.",
        "a page freed that firmware has just accepted, or kept that firmware has released",
    ),
    Question(
        18,
        "request-lost",
        "request lost",
        "A page request cannot be queued. Does firmware learn of it, and does anything wait for ever?",
        "a request that is never answered",
    ),
    Question(
        19,
        "refused-teardown",
        "refused teardown, then reopen",
        "TEARDOWN_HCA is refused or not answered, pages are not taken, and the device is opened again.",
        "a second session that fails, misnames, or frees what firmware has",
    ),
)


def question(text: str) -> Question | None:
    """The question with this number or id; None where there is none."""
    return next((q for q in QUESTIONS if text in (str(q.number), q.id)), None)
