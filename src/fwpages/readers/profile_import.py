"""A device profile from a device's answers to a real driver: the capability pages and figures of one start-up."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fwpages.device.profiles import DERIVED, exceeding
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command, decode_answer, decode_command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, Opcode, QueryPages
from fwpages.readers.inputs import InputError, is_trace, open_source
from fwpages.readers.kernel_log import KernelLog
from fwpages.readers.observations import CommandCompleted, CommandSubmitted, Observation, TraceHeader
from fwpages.readers.trace import TraceReader

#: values that a profile does not start with: a session chooses them
_CHOSEN = ("icm_mng_function_id_mode",)


@dataclass(slots=True)
class _Start:
    """The answers of one device during its start-up."""

    device: str
    boot: int | None = None
    init: int | None = None
    ecpf: bool = False
    pages: dict[tuple[int, bool], bytes] = field(default_factory=dict)

    def add(self, c: Command, a: Answer) -> None:
        """A command and its answer. The device's first answer counts: later ones show what the driver set."""
        if c.opcode == Opcode.QUERY_PAGES and c.op_mod == QueryPages.BOOT and self.boot is None:
            self.boot, self.ecpf = max(0, a["num_pages"]), bool(c["embedded_cpu_function"])
        elif c.opcode == Opcode.QUERY_PAGES and c.op_mod == QueryPages.INIT and self.init is None:
            self.init = max(0, a["num_pages"])
        elif c.opcode == Opcode.QUERY_HCA_CAP and not c["other_function"] and len(a.data) == CAP_PAGE:
            self.pages.setdefault((c.op_mod >> 1, bool(c.op_mod & CAP_CURRENT)), a.data)

    @property
    def whole(self) -> bool:
        """Everything is there that a profile needs."""
        general = {(int(CapType.GENERAL), False), (int(CapType.GENERAL), True)}
        return self.boot is not None and self.init is not None and general <= self.pages.keys()


def profile_of(path: str | Path, name: str) -> str:
    """A profile as TOML from a kernel's debug log (with its dumps, ``dyndbg="func dump_* +p"``) or a trace.

    InputError where it cannot be read, or shows no whole start of a device.
    """
    with closing(open_source(path)) as source:
        reader = TraceReader(source) if is_trace(source) else KernelLog(source)
        start = _start(reader.read())
    if start is None:
        raise InputError(
            f"{path} does not show the start of a device: QUERY_PAGES and QUERY_HCA_CAP with their answers "
            '(load mlx5_core with dyndbg="func dump_* +p")'
        )
    return _toml(start, name)


def _start(seen: Iterable[Observation]) -> _Start | None:
    """The first whole start-up of a device."""
    starts: dict[str, _Start] = {}
    flying: dict[tuple[str, Hashable], bytes] = {}
    for x in seen:
        match x:
            case CommandSubmitted() if not x.holes:
                flying[x.device, x.key] = x.message
            case CommandCompleted() if not x.holes:
                sent = flying.pop((x.device, x.key), None)
                if sent is not None:
                    _answered(starts.setdefault(x.device, _Start(x.device)), sent, x.message)
            case TraceHeader() if x.supplier is not None:
                starts.setdefault(x.device, _Start(x.device)).ecpf = x.supplier.ecpf
    return next((s for s in starts.values() if s.whole), None)


def _answered(start: _Start, sent: bytes, message: bytes) -> None:
    try:
        c = decode_command(sent)
        a = decode_answer(c.opcode, message)
    except LayoutError:
        return
    if a.ok:
        start.add(c, a)


def _toml(s: _Start, name: str) -> str:
    most = read_general(s.pages[CapType.GENERAL, False])
    now = read_general(s.pages[CapType.GENERAL, True])
    offered = {k: v for k, v in most.items() if v and k not in DERIVED}
    chosen = {k: v for k, v in now.items() if v and k not in (*DERIVED, *_CHOSEN)}
    current = {k: v for k, v in chosen.items() if exceeding({k: v}, offered) is None}
    lines = [
        "# From a real driver's log: what the device said of itself at its start.",
        "# Assumed: max_vfs, which no command says.",
        f"name = {_quoted(name)}",
        f"description = {_quoted(f'as {s.device} said of itself')}",
        f"boot_pages = {s.boot}",
        f"init_pages = {s.init}",
        f"vhca_id = {most['vhca_id']:#x}",
        f"ecpf = {str(s.ecpf).lower()}",
        "max_vfs = 8",
        f"sf_base_id = {most['sf_base_id']:#x}",
        f"max_sf = {(most['max_num_sf'] or 1 << most['log_max_sf']) if most['sf'] else 0}",
    ]
    for table, values in (("max", offered), ("current", current)):
        lines += ["", f"[{table}]", *(f"{k} = {v}" for k, v in values.items() if k in GENERAL.by_name)]
    return "\n".join([*lines, "", "[pages]", *_page_lines(s.pages)]) + "\n"


def _page_lines(pages: dict[tuple[int, bool], bytes]) -> Iterator[str]:
    """The capability pages that are not all zero, in hex."""
    for (kind, is_current), page in sorted(pages.items()):
        if stripped := page.rstrip(b"\0"):
            yield f'"{_kind(kind)}.{"current" if is_current else "max"}" = "{stripped.hex()}"'


def _quoted(text: str) -> str:
    """A string as TOML writes it: as JSON does, but for one character that must be escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _kind(number: int) -> str:
    return next((t.name.lower() for t in CapType if t == number), f"{number:#x}")
