"""Triggers of faults: which commands are opportunities of a fault."""

from __future__ import annotations

from fwpages.device.faults.injector import FaultyFirmware, Trigger, names_own
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode


def pages(kind: ManagePages) -> Trigger:
    """A MANAGE_PAGES of this kind."""
    return lambda _, c: c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


def op(*opcodes: Opcode, own: bool | None = None) -> Trigger:
    """One of these commands; with ``own`` only one that names the supplier itself, or only one that does not."""
    return lambda f, c: c.opcode in opcodes and (own is None or names_own(f, c) is own)


def control(_: FaultyFirmware, c: Command) -> bool:
    """Any command but MANAGE_PAGES."""
    return c.opcode != Opcode.MANAGE_PAGES


def other_caps(_: FaultyFirmware, c: Command) -> bool:
    """QUERY_HCA_CAP about another function."""
    return c.opcode == Opcode.QUERY_HCA_CAP and bool(c["other_function"])


def listening(f: FaultyFirmware, _: Command) -> bool:
    """Any command while the driver has an event queue for page requests."""
    return f.inner.pages_eqn is not None


def negotiated(f: FaultyFirmware, _: Command) -> bool:
    """Any command while page requests can be raised and release_all was negotiated."""
    return f.inner.pages_eqn is not None and f.inner.release_all


def not_negotiated(f: FaultyFirmware, _: Command) -> bool:
    """Any command while page requests can be raised and release_all was not negotiated."""
    return f.inner.pages_eqn is not None and not f.inner.release_all


GIVE, TAKE = pages(ManagePages.GIVE), pages(ManagePages.TAKE)
QUERY_PAGES = op(Opcode.QUERY_PAGES)
SET_CAP = op(Opcode.SET_HCA_CAP)
ENABLE = op(Opcode.ENABLE_HCA, Opcode.ALLOC_SF, own=False)
DISABLE = op(Opcode.DISABLE_HCA, Opcode.DEALLOC_SF, own=False)
TEARDOWN = op(Opcode.TEARDOWN_HCA)
