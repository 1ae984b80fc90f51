"""Names of functions in page commands and events: how the mode that holds is learned, and names of the wrong mode."""

from __future__ import annotations

from fwpages.auditor.findings import Finding, Finds, Found
from fwpages.auditor.naming import Naming
from fwpages.auditor.session import MAX_WITHHELD, AuditedSession, Negotiated, Suspect
from fwpages.custody.findings import Blame, Cause
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, vhca_id
from fwpages.readers.observations import Place

_MISMATCH = {Blame.HOST: Cause.IDENTITY_MISMATCH, Blame.DEVICE: Cause.IDENTITY_MISMATCH_DEVICE}


def rename(s: AuditedSession, old: Identity, new: Identity, kind: FunctionType) -> None:
    """A function has another name from now on."""
    s.ledger.records.rename(old, new, kind)
    replaced = s.books.rename(old, new)
    if replaced is not None:
        s.timeline.joined(replaced, s.last)
        s.timeline.counted(s.books.of(new), s.last)


def switch_to_vhca_ids(s: AuditedSession) -> None:
    """The session is in VHCA_ID mode from here on: what was given at boot now counts for the own vhca_id."""
    if s.naming.mode is not Mode.VHCA_ID:
        s.timeline.mark("mode", "functions are named by vhca_id from here on", s.last)
    s.naming.mode = Mode.VHCA_ID
    s.naming.show_mode()
    if s.negotiated is None and not s.evidence.from_start:
        _rename_all(s)
    _rename_boot(s)


def _rename_all(s: AuditedSession) -> None:
    """The mode was negotiated before the input begins: every number seen so far was a vhca_id."""
    counted = [book.identity for book, _ in s.books.counted()]
    for old in dict.fromkeys([*s.ledger.records.current, *counted]):
        if old.mode is Mode.FUNC_ID and not old.ec:
            # 0 was the function itself, before the mode was set
            own = s.naming.vhca if old.number == 0 else None
            new = vhca_id(old.number if own is None else own)
            rename(s, old, new, s.naming.type_of(new))


def _rename_boot(s: AuditedSession) -> None:
    """Give the boot record its name of VHCA_ID mode, once that mode and the own vhca_id are known."""
    if s.naming.mode is Mode.VHCA_ID and s.naming.vhca is not None:
        rename(s, s.naming.boot_name, vhca_id(s.naming.vhca), FunctionType.SELF)


def back_to_function_ids(s: AuditedSession, negotiated: Negotiated) -> None:
    """The device has not taken the mode on, and no command has used it yet."""
    s.timeline.mark("mode", "functions are still named by function_id: the device has not taken the mode on", s.last)
    s.negotiated, s.naming.mode = negotiated, Mode.FUNC_ID
    if s.naming.vhca is not None:
        rename(s, vhca_id(s.naming.vhca), s.naming.own, FunctionType.SELF)


def learn_own(s: AuditedSession, vhca: int) -> None:
    """The own vhca_id is known."""
    if s.naming.vhca is None:
        s.naming.vhca = vhca
        _rename_boot(s)


def check_name(s: AuditedSession, number: int, ec: bool, place: Place, blame: Blame) -> Finds[bool]:
    """True where this name is none of the mode that holds; a name that later commands may explain waits for the end."""
    by_host = blame is Blame.HOST
    if by_host and (number, ec) in s.device_names:
        return False
    why = _impossible(s.naming, ec)
    if why:
        detail = f"{in_words(number, ec)} {why}"
        yield Finding(_MISMATCH[blame], place, s.book(number, ec), detail=detail)
        return True
    if _of_other_mode(s.naming, number, ec) and len(s.withheld) < MAX_WITHHELD:
        s.withheld.append(Suspect(place, by_host, number))
    return False


def _impossible(naming: Naming, ec: bool) -> str:
    """The reason why no function of the present mode has such a name; empty where one may have it."""
    if ec and naming.mode is Mode.VHCA_ID:
        return "in VHCA_ID mode, which has no ec bit"
    if ec and naming.ecpf is False:
        return "on a supplier that is no embedded CPU's function"
    return ""


def _of_other_mode(naming: Naming, number: int, ec: bool) -> bool:
    """It is the own function's name in the mode that does not hold."""
    if naming.mode is Mode.VHCA_ID:
        return number == 0 and naming.vhca not in (None, 0)
    return number != 0 and number == naming.vhca and not ec


def doubtful_name(s: AuditedSession, number: int, ec: bool, place: Place) -> Finds[bool]:
    """True where a name that the device used is wrong, or may be: a request under it is not held against the host."""
    before = len(s.withheld)
    wrong = yield from check_name(s, number, ec, place, Blame.DEVICE)
    return wrong or len(s.withheld) > before


def settle(s: AuditedSession) -> Found:
    """Nothing more comes: suspects that nothing explained are names of the other mode."""
    for suspect in s.kept(Suspect):
        number = suspect.number
        if s.evidence.lossy or _explained(s, number):
            continue
        other = "func_id" if number == 0 else "vhca_id"
        detail = f"{number:#x} is the function's {other}, the session is in {s.naming.mode.value} mode"
        cause = Cause.IDENTITY_MISMATCH if suspect.by_host else Cause.IDENTITY_MISMATCH_DEVICE
        yield Finding(cause, suspect.place, s.book(number, ec=False), detail=detail)


def _explained(s: AuditedSession, number: int) -> bool:
    naming = s.naming
    if number == 0:
        return naming.mode is not Mode.VHCA_ID or naming.knows(0)
    if naming.mode is not Mode.FUNC_ID or naming.met(func_id(number)):
        return True
    supplier = naming.supplier
    return supplier is not None and number <= max(supplier.max_vfs, supplier.max_ec_vfs)


def in_words(number: int, ec: bool | int) -> str:
    """The name as a command or event has it."""
    return f"{number:#x}{' with the ec bit' if ec else ''}"
