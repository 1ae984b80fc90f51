"""QUERY_PAGES and MANAGE_PAGES: the ledger follows every page, and what does not fit it is a finding.

A command is looked at twice. When it is sent, its name is checked against the mode, a GIVE's pages become *offered*,
and addresses that cannot be pages, or that firmware has already, are the host's findings. When it is answered, the
pages move on: accepted, refused, or, where a release_all came in between, doubtful, as firmware may or may not have
them. A TAKE's answer is sorted by the ledger into pages that may come back and those that may not: of another
function, returned already, never given. The latter are the device's findings, if the input can prove it; where lines
are missing they are counted as *unjudged*. Where the input begins late, pages that were never seen given were given
before, and are counted as such.

Mistakes of the host leave open which function firmware knows a page by. After a command in the name of the wrong
function neither of the two functions is followed; a page that was given twice is *contested* and may come back from
any function, and more than once. The finding stands, and no guess is made about what firmware makes of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fwpages.auditor import requests
from fwpages.auditor.books import COUNTS_ALONE, CUT, Book, numbers_of
from fwpages.auditor.evidence import Start
from fwpages.auditor.findings import Finding, Finds, Found
from fwpages.auditor.identities import check_name, in_words, learn_own, switch_to_vhca_ids
from fwpages.auditor.judgement import releases_shown
from fwpages.auditor.ledger import Offer
from fwpages.auditor.naming import BootName, Naming
from fwpages.auditor.session import AuditedSession, Counted, Pending
from fwpages.custody.findings import Blame, Cause, FindingName, refused
from fwpages.custody.judgements import count_fits, wrong_pages
from fwpages.custody.ledger import Returned
from fwpages.pages.space import Addresses
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Mode, func_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, QueryPages
from fwpages.prm.status import status_words
from fwpages.readers.observations import CommandCompleted, CommandExecuted, Holes, Place

#: GIVEs that wait for the driver's line about them
MAX_UNCONFIRMED = 64

#: TAKEs of one function in a row that return nothing, from which on firmware does not just need a moment
MANY_FRUITLESS = 100

_PAS_FROM = 16


# -- QUERY_PAGES


def query_sent(s: AuditedSession, p: Pending, c: Command) -> Found:
    """QUERY_PAGES goes to the device: always about the function itself."""
    number, ec, e = c["function_id"], bool(c["embedded_cpu_function"]), s.evidence
    if c.op_mod == QueryPages.BOOT and not e.page_commands and not e.from_start:
        e.start = Start.SEEN
    if number and s.naming.mode is Mode.FUNC_ID and _negotiation_unseen(s):
        # the name shows the mode
        switch_to_vhca_ids(s)
    if s.naming.mode is Mode.VHCA_ID:
        yield from _named_by_vhca_id(s, p, number, ec)
        return
    if ec:
        s.naming.ecpf = True
    if number:
        yield _mismatch(s, p, number, ec, "the function itself is 0 in FUNC_ID mode")


def _negotiation_unseen(s: AuditedSession) -> bool:
    """The mode may have been negotiated in a part of the session that the input does not show."""
    return s.evidence.mode_unknown or not s.evidence.from_start or s.evidence.incomplete


def _named_by_vhca_id(s: AuditedSession, p: Pending, number: int, ec: bool) -> Found:
    if s.naming.vhca is None:
        learn_own(s, number)
    if number != s.naming.vhca or ec:
        yield _mismatch(s, p, number, ec, f"the own vhca_id is {s.naming.vhca:#x}")


def _mismatch(s: AuditedSession, p: Pending, number: int, ec: bool, why: str) -> Finding:
    p.faulty = True
    detail = f"{p} names {in_words(number, ec)} in {s.naming.mode.value} mode: {why}"
    return Finding(Cause.IDENTITY_MISMATCH, p.place, s.book(number, ec), detail=detail)


def query_answered(s: AuditedSession, p: Pending, c: Command, a: Answer, place: Place) -> Found:
    """The device says how many pages it wants, and under which name."""
    number, asked = a["function_id"], c["function_id"]
    if c.op_mod == QueryPages.INIT and number == asked:
        _agree_on_vhca_ids(s, number)
    book = s.book(number, c["embedded_cpu_function"])
    wrong = number != asked and not p.faulty
    detail = f"{p} asked about {asked:#x}, the answer is about {number:#x}"
    if c.op_mod not in (QueryPages.BOOT, QueryPages.INIT):
        if wrong and _certainly_wrong(s, number):
            yield Finding(Cause.IDENTITY_MISMATCH_DEVICE, place, book, detail=detail)
        return
    _named_at_boot(s, book)
    if wrong:
        yield Finding(Cause.STARTUP_IDENTITY, place, book, a["num_pages"], detail)
    yield from requests.queried(s, p, book, a["num_pages"], place)


def _agree_on_vhca_ids(s: AuditedSession, number: int) -> None:
    """Both sides go by vhca_ids, whatever was negotiated: that it was not is a finding already."""
    if number and number == s.naming.vhca and s.negotiated is None and s.naming.mode is Mode.FUNC_ID:
        switch_to_vhca_ids(s)


def _certainly_wrong(s: AuditedSession, number: int) -> bool:
    """This name is not the one that was asked about, by whatever mode the device goes."""
    return s.naming.mode is Mode.VHCA_ID or number in (s.naming.vhca, 0)


def _named_at_boot(s: AuditedSession, book: Book) -> None:
    """The name in the start-up's first answer is the function's own, until its first GIVE says otherwise."""
    naming = s.naming
    if naming.boot is not None:
        naming.boot = replace(naming.boot, certain=True)
    elif naming.mode is Mode.FUNC_ID:
        naming.boot = BootName(book.identity, certain=False)


# -- MANAGE_PAGES is sent


def sent(s: AuditedSession, p: Pending, c: Command, holes: Holes) -> Found:
    """MANAGE_PAGES goes to the device."""
    number, ec, naming = c["function_id"], bool(c["embedded_cpu_function"]), s.naming
    p.asked = c["input_num_entries"]
    if naming.boot is not None and not naming.boot.certain:
        _correct_boot_name(naming, c, func_id(number, ec=ec))
    naming.use()
    book = p.book = s.book(number, ec)
    match c.op_mod:
        case ManagePages.GIVE:
            s.asked.given(book, p.asked)
            yield from _check_function(s, p, book, requests.served_by_give(s, p, book), number, ec)
            yield from _give_sent(s, p, c, book, holes)
        case ManagePages.TAKE:
            yield from _check_function(s, p, book, requests.expected_take(s, p, book), number, ec)
            _dump_seen(s, book)
        case ManagePages.CANT_GIVE:
            yield from _check_function(s, p, book, None, number, ec)
            s.asked.declined(book)
            yield from requests.cannot_give(p, book)
        case _:
            yield from _check_function(s, p, book, None, number, ec)
            p.faulty = True
            detail = f"MANAGE_PAGES with op_mod {c.op_mod:#x}"
            yield Finding(Cause.COMMAND_MALFORMED, p.place, book, detail=detail)


def _correct_boot_name(naming: Naming, c: Command, who: Identity) -> None:
    """The first GIVE says under which name the function has its boot pages."""
    if c.op_mod == ManagePages.GIVE and naming.mode is Mode.FUNC_ID:
        naming.boot = BootName(who, certain=True)


def _check_function(
    s: AuditedSession, p: Pending, book: Book, mixed_up_with: Book | None, number: int, ec: bool
) -> Found:
    """The command names a function: of the right mode, and the one that firmware wants something of."""
    if mixed_up_with is None:
        if (yield from check_name(s, number, ec, p.place, Blame.HOST)):
            p.faulty = True
        return
    p.faulty = True
    who, other = book.identity, mixed_up_with.identity
    detail = f"{p} of {many(p.asked)} names {who}: firmware wants that of {other}, and nothing of {who}"
    yield Finding(Cause.IDENTITY_MISMATCH, p.place, book, p.asked, detail)
    for function in (book, mixed_up_with):
        s.lose(function, f"{p} names {who} instead of {other}: which of the two firmware knows its pages by is open")


def _dump_seen(s: AuditedSession, book: Book) -> None:
    """The dump of a TAKE that a line announced."""
    if s.driver.expected is not None and s.driver.expected.number == book.identity.number:
        s.driver.expected = None


def _give_sent(s: AuditedSession, p: Pending, c: Command, book: Book, holes: Holes) -> Found:
    pas = yield from _given_pages(s, p, c, book, holes)
    if s.evidence.lossy:
        waiting = [q.offer.index for q in s.pending.values() if q.offer is not None]
        s.ledger.evict(pas, np.concatenate(waiting) if waiting else np.zeros(0, np.int64))
    p.offer = s.ledger.offer(book.identity, s.naming.type_of(book.identity), pas)
    if p.offer is None:
        s.lose(book, "its addresses are too scattered to be followed")
        return
    yield from _bad_addresses(s, p, book, p.offer)
    yield from _given_twice(s, p, book, p.offer)
    yield from _left_before(p, book, p.offer)


def _given_pages(s: AuditedSession, p: Pending, c: Command, book: Book, holes: Holes) -> Finds[Addresses]:
    """The addresses that a GIVE names, as far as the input has them."""
    n, pas = p.asked, c.given
    if pas.size < n and not holes:
        p.faulty = True
        detail = f"{p}: count {n}, {addresses(pas.size)}"
        yield Finding(Cause.COUNT_MISMATCH, p.place, book, n, detail)
    known = _known(pas.size, holes)
    if not known.all() or (holes and pas.size < n):
        pas = pas[known]
        yield from _incomplete(s, p, book, "a GIVE's addresses are not all in the log", cut=p.cut)
    return pas


def _bad_addresses(s: AuditedSession, p: Pending, book: Book, offer: Offer) -> Found:
    n = int(offer.bad.size)
    if n and s.evidence.log and s.evidence.incomplete:
        # parts of two dumps, taken for one
        s.counts[Counted.UNJUDGED] += n
        s.lose(book, "a GIVE's addresses are not all in the log")
    elif n:
        p.faulty = True
        detail = f"{p}: {addresses(n)}, the first {int(offer.bad[0]):#x}"
        yield Finding(Cause.BAD_ADDRESS, p.place, book, n, detail)


def _given_twice(s: AuditedSession, p: Pending, book: Book, offer: Offer) -> Found:
    n = int(offer.twice.size)
    if n and not releases_shown(s):
        s.lose(None, "pages are given anew whose release the log does not show")
    if n and s.evidence.lossy:
        s.counts[Counted.UNJUDGED] += n
    elif n:
        p.faulty = True
        words = s.ledger.owners_of(offer.twice)
        detail = f"{p}: {many(n)}, the first {int(offer.twice[0]):#x}, already with {words}"
        yield Finding(Cause.GIVEN_TWICE, p.place, book, n, detail)
        s.ledger.contest(offer)


def _left_before(p: Pending, book: Book, offer: Offer) -> Found:
    """Pages that an earlier session left with firmware are given again."""
    n = int(offer.left.size)
    if n:
        first = int(offer.left[0])
        detail = f"{p}: {many(n)}, the first {first:#x}, left with firmware by an earlier session"
        yield Finding(Cause.GIVEN_TWICE, p.place, book, n, detail)


def _incomplete(s: AuditedSession, p: Pending, book: Book, why: str, *, cut: bool) -> Found:
    """Some of a command's addresses are not in the input; ``cut``: inputs of this kind never have them all."""
    if cut:
        s.lose(book, COUNTS_ALONE if s.evidence.recorded else CUT)
        return
    s.timeline.gap(p.place, s.last, why)
    if not s.findings.has(FindingName.LOG_LINES_LOST, book.identity) and not s.findings.has(FindingName.LOG_TRUNCATED):
        yield Finding(Cause.LOG_LINES_LOST, p.place, book, detail=f"{p}: {why}")
    s.lose(book, why)


# -- MANAGE_PAGES is answered


def answered(s: AuditedSession, p: Pending, a: Answer, v: CommandCompleted, *, late: bool) -> Found:
    """MANAGE_PAGES was answered; ``late``: the host had stopped waiting for it."""
    book = p.book
    if book is None:
        return
    if p.op_mod == ManagePages.GIVE:
        yield from _give_answered(s, p, book, a, v.place)
    elif p.op_mod == ManagePages.TAKE:
        yield from _take_answered(s, p, book, a, v)
        if p.doubted is not None and late and not p.crossed:
            s.ledger.settle(p.doubted)
    elif not a.ok:
        yield _refused(p, a, v.place)


def executed(s: AuditedSession, p: Pending, a: Answer, v: CommandExecuted) -> Found:
    """The device carried MANAGE_PAGES out and kept the answer back: its pages have moved, though no host knows."""
    book = p.book
    if book is None or not a.ok:
        return
    if p.op_mod == ManagePages.GIVE:
        yield from _give_answered(s, p, book, a, v.place)
        p.executed = p.asked
    elif p.op_mod == ManagePages.TAKE:
        answer = CommandCompleted(place=v.place, device=v.device, session=v.session, key=v.key, message=v.message)
        yield from _take_answered(s, p, book, a, answer)
        p.executed = a["output_num_entries"]


def _refused(p: Pending, a: Answer, place: Place) -> Finding:
    detail = f"{p}: {status_words(a.status)}, syndrome {a.syndrome:#x}"
    return Finding(refused(p.opcode, p.op_mod, valid=not p.faulty), place, p.book, p.asked or None, detail)


def _give_answered(s: AuditedSession, p: Pending, book: Book, a: Answer, place: Place) -> Found:
    offer = p.offer
    if not a.ok:
        s.counts[Counted.GIVE_DROPPED] += p.asked
        requests.want(book, p.asked)
        yield _refused(p, a, place)
        if offer is not None:
            s.ledger.withdraw(offer) if p.doubted is not None else s.ledger.refuse(offer)
        return
    if s.evidence.log:
        done = s.driver.unconfirmed
        del done[: max(0, len(done) - MAX_UNCONFIRMED + 1)]
        done.append((book.identity.number, p.asked))
    if s.evidence.counts_commands:
        s.books.by_numbers.give(numbers_of(book), p.asked, doubtful=p.crossed)
        s.timeline.counted(book, s.last)
    if offer is None:
        return
    if p.crossed:
        yield from _crossed(s, p, book, offer, place)
    elif p.doubted is not None:
        s.ledger.settle(p.doubted)
    else:
        s.ledger.accept(offer)


def _crossed(s: AuditedSession, p: Pending, book: Book, offer: Offer, place: Place) -> Found:
    """A GIVE was answered OK, and release_all came before its answer: neither side did wrong."""
    if p.doubted is not None:
        return  # that it was unanswered is a finding already
    s.ledger.doubt(offer)
    if not s.evidence.uncounted:
        n = p.asked if book.counted_only else int(offer.index.size)
        detail = f"{p} of {many(n)} was out when release_all came: firmware may or may not have them"
        yield Finding(Cause.GIVE_CROSSED_RELEASE, place, book, n, detail)


def _take_answered(s: AuditedSession, p: Pending, book: Book, a: Answer, v: CommandCompleted) -> Found:
    book.asked_back = True
    if not a.ok:
        s.counts[Counted.RECLAIM_DISCARDED] += p.asked
        book.brought = None
        yield _refused(p, a, v.place)
        yield from requests.served(s, p, book, p.asked, 0, v.place)
        return
    named = a["output_num_entries"]
    pas = yield from _named_pages(s, p, book, a, v)
    book.brought = min(named, p.asked) if v.holes else int(pas.size)
    yield from _fruitless(s, p, book, named, v.place)
    returned = s.ledger.check_return(book.identity, pas)
    if returned.unknown.size and _doubt_waiting(s, book):
        returned = s.ledger.check_return(book.identity, pas)
    returned, contested = s.ledger.take_contested(returned)
    yield from _judge_return(s, p, book, returned, v.place)
    good = s.ledger.take(returned) + contested
    yield from requests.served(s, p, book, named, book.brought if v.cut else good, v.place)


def _fruitless(s: AuditedSession, p: Pending, book: Book, named: int, place: Place) -> Found:
    """Count TAKEs in a row that brought nothing. Where the beginning was seen, what is left at the end says it all."""
    book.fruitless = 0 if named else book.fruitless + 1
    if book.fruitless == MANY_FRUITLESS and not s.evidence.from_start:
        detail = f"{p} of {many(p.asked)}: {MANY_FRUITLESS} in a row are answered OK, and no page comes back"
        yield Finding(Cause.PAGES_NOT_RETURNED_BY_TAKES, place, book, detail=detail)


def _named_pages(s: AuditedSession, p: Pending, book: Book, a: Answer, v: CommandCompleted) -> Finds[Addresses]:
    """The addresses that a TAKE's answer names, as far as the input has them."""
    n, pas = a["output_num_entries"], a.pas
    if not v.holes:
        # room that was set aside for the answer and not written is zero, and 0 is no page
        pas = pas[: int(np.flatnonzero(pas[:n]).max(initial=-1)) + 1]
    if not count_fits(n, p.asked, n if v.holes else pas.size):
        detail = f"{p} of {many(p.asked)} answered with a count of {n} and {addresses(pas.size)}"
        yield Finding(Cause.COUNT_OVER_ASKED, v.place, book, n, detail)
    wanted = min(n, p.asked)
    pas = pas[:wanted]
    if s.evidence.counts_commands:
        s.books.by_numbers.back(numbers_of(book), wanted, crossed=p.crossed)
        s.timeline.counted(book, s.last)
    known = _known(pas.size, v.holes)
    if not known.all() or (v.holes and pas.size < wanted):
        pas = pas[known]
        yield from _incomplete(s, p, book, "the addresses that a TAKE returned are not all in the log", cut=v.cut)
    return pas


def _judge_return(s: AuditedSession, p: Pending, book: Book, returned: Returned, place: Place) -> Found:
    """Pages that firmware named and cannot have had to return."""
    for cause, pages in wrong_pages(returned, crossed=p.crossed):
        yield from _wrong_return(s, p, book, cause, pages, place)


_WRONG = {
    Cause.RETURNED_FOREIGN: "of another function",
    Cause.RETURNED_TWICE: "that it does not have (they came back before, stand there twice, or their GIVE was refused)",
    Cause.RETURNED_NEVER_GIVEN: "never given",
}


def _wrong_return(s: AuditedSession, p: Pending, book: Book, cause: Cause, pages: Addresses, place: Place) -> Found:
    n = int(pages.size)
    if s.evidence.lossy:
        s.counts[Counted.UNJUDGED] += n
    elif cause is Cause.RETURNED_NEVER_GIVEN and not s.evidence.from_start:
        # given before the input begins, to a function that was enabled within what was seen, or not
        book.before += n
        book.fresh = False
    else:
        owners = f", given to {s.ledger.owners_of(pages)}" if cause is Cause.RETURNED_FOREIGN else ""
        detail = f"{p} named {many(n)} {_WRONG[cause]}, the first {int(pages[0]):#x}{owners}"
        yield Finding(cause, place, book, n, detail)


def _doubt_waiting(s: AuditedSession, book: Book) -> bool:
    """A GIVE without an answer may have been carried out: firmware returns pages that it named."""
    waiting = [q for q in s.pending.values() if q.book is book and q.unsettled is not None]
    for q in waiting:
        if q.offer is not None:
            s.ledger.doubt(q.offer)
            q.doubted = q.offer.index
    return bool(waiting)


def addresses(n: int) -> str:
    """``1 address``, ``2,000 addresses``."""
    return f"{n:,} address{'' if n == 1 else 'es'}"


def _known(n: int, holes: Holes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """A mask of ``n`` addresses: those that lie outside the holes of a message."""
    known = np.ones(n, np.bool_)
    for a, b in holes:
        known[max(0, (a - _PAS_FROM) // 8) : max(0, -(-(b - _PAS_FROM) // 8))] = False
    return known
