"""Both sides as the tests of differences start from, and what they look at."""

from __future__ import annotations

from fwpages.host import books
from fwpages.prm.identity import Mode, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode
from tests.linux.devices import plain
from tests.linux.linuxside import Linux
from tests.linux.ourside import Ours
from tests.linux.peer import Peer

GIVE, TAKE, CANT_GIVE = ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE
VF0, OWN = vhca_id(0x31), vhca_id(0x2A)
BOOT, STARTUP = 4, 10


def manages(c: Command, kind: ManagePages) -> bool:
    return c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


def opened(peer: Peer, mode: Mode = Mode.VHCA_ID, **options: object) -> Linux:
    """Linux after its start, with 10 pages of its own out."""
    linux = Linux(peer, plain(mode), **options)  # type: ignore[arg-type]
    assert linux.open()
    linux.page_commands()
    return linux


def ours_opened(*faults: str, mode: Mode = Mode.VHCA_ID) -> Ours:
    ours = Ours(plain(mode), faults=faults)
    assert ours.open()
    ours.page_commands()
    return ours


def torn_down(linux: Linux) -> None:
    """As far as TEARDOWN_HCA; then Linux takes its pages back."""
    linux.deafen()
    linux.tell(Opcode.TEARDOWN_HCA)


def out(ours: Ours) -> dict[str, tuple[int, int]]:
    """Pages held and doubtful, by function."""
    return {str(f.identity): (f.held, f.doubtful) for f in books(ours.host).functions if f.held or f.doubtful}
