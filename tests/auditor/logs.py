"""Golden logs and traces, and how other kernels, tools and accidents would have written them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import Report, SessionAccount

GOLDEN = Path(__file__).parent.parent / "golden"
VHCA = GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl"
FUNC = GOLDEN / "linux-7.2.13-pf-func_id.jsonl"
DMESG = GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"

Lines = list[str]

_STAMP = re.compile(r"^\[ *(\d+\.\d+)\] ?")
_DUMP_LINE = re.compile(r"^(\[ *\d+\.\d+\] )cmd\[(\d+)\]: ([0-9a-f]{3,}): ((?:[0-9a-f]{8} ?){4})$")


@cache
def _dmesg() -> tuple[str, ...]:
    return tuple(gzip.decompress(DMESG.read_bytes()).decode().splitlines())


def dmesg() -> Lines:
    return list(_dmesg())


def golden_trace(path: Path = VHCA) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(tmp: Path, lines: Iterable[str], name: str = "log.txt") -> Path:
    path = tmp / name
    path.write_text("".join(line + "\n" for line in lines))
    return path


def write_trace(tmp: Path, lines: Iterable[dict[str, Any]], name: str = "trace.jsonl") -> Path:
    return write(tmp, (json.dumps(line) for line in lines), name)


def audit_lines(tmp: Path, lines: Iterable[str], name: str = "log.txt") -> Report:
    return audit(write(tmp, lines, name))


def audit_trace(tmp: Path, lines: Iterable[dict[str, Any]]) -> Report:
    return audit(write_trace(tmp, lines))


def only(report: Report) -> SessionAccount:
    assert len(report.sessions) == 1, [s.device for s in report.sessions]
    return report.sessions[0]


def accounts(session: SessionAccount) -> dict[str, Any]:
    """The counts alone, without the findings and notes."""
    return {
        "mode": session.mode,
        "end": session.end,
        "totals": session.totals,
        "functions": session.functions,
        "by_type": session.by_type,
        "counters": session.counters,
    }


# -- prefixes


def _stamped(line: str, prefix: Callable[[float], str]) -> str:
    m = _STAMP.match(line)
    assert m is not None
    return prefix(float(m[1])) + line[m.end() :]


BOOTED = datetime(2026, 11, 21, 9, 2, 50, tzinfo=UTC)


def _wall(t: float) -> datetime:
    return BOOTED + timedelta(seconds=t)


def _caller(t: float) -> str:
    return "  T100" if int(t * 1000) % 2 else "   C1"


PREFIXES: dict[str, Callable[[float], str]] = {
    "dmesg": lambda t: f"[{t:12.6f}] ",
    "caller": lambda t: f"[{t:12.6f}][  T100] ",
    "level": lambda t: f"<7>[{t:12.6f}] ",
    "decode": lambda t: f"kern  :debug : [{t:12.6f}] ",
    "ctime": lambda t: f"[{_wall(t):%a %b %d %H:%M:%S %Y}] ",
    "reltime": lambda t: f"[  +{t % 1:.6f}] ",
    "reltime-head": lambda t: f"[{_wall(t):%b%d %H:%M}] ",
    "delta": lambda t: f"[{t:12.6f} <{0.000012:12.6f}>] ",
    "delta-only": lambda t: f"[<{0.000012:12.6f}>] ",
    "iso": lambda t: f"{_wall(t):%Y-%m-%dT%H:%M:%S},{int(t % 1 * 1e6):06}+00:00 ",
    "journal": lambda t: f"{_wall(t):%b %d %H:%M:%S} host kernel: ",
    "syslog": lambda t: f"{_wall(t):%b %d %H:%M:%S} host kernel: [{t:12.6f}] ",
    "rfc5424": lambda t: f"{_wall(t):%Y-%m-%dT%H:%M:%S}.{int(t % 1 * 1e6):06}+00:00 host kernel: [{t:12.6f}] ",
    "rfc5424-plain": lambda t: f"{_wall(t):%Y-%m-%dT%H:%M:%S}.{int(t % 1 * 1e6):06}+00:00 host kernel: ",
    "monotonic": lambda t: f"[{t:12.6f}] host kernel: ",
    "cat": lambda _t: "",
}


def prefixed(lines: Lines, style: str) -> Lines:
    return [_stamped(line, PREFIXES[style]) for line in lines]


def later(lines: Lines, seconds: float) -> Lines:
    """The same, so much later on the same machine."""
    return [_stamped(line, lambda t: f"[{t + seconds:12.6f}] ") for line in lines]


def as_journal(lines: Lines) -> Lines:
    """journalctl -o json."""
    out = []
    for line in lines:
        m = _STAMP.match(line)
        assert m is not None
        micros = str(int(float(m[1]) * 1e6))
        out.append(json.dumps({"MESSAGE": line[m.end() :], "_TRANSPORT": "kernel", "__MONOTONIC_TIMESTAMP": micros}))
    return out


# -- a driver's lines

DEV = "mlx5_core 0000:03:00.0: "


def driver_log(*messages: str) -> Lines:
    """Messages of one device, a millisecond apart; `!` in front: a line that names no device."""
    return [f"[{10 + i / 1000:12.6f}] " + (m[1:] if m.startswith("!") else DEV + m) for i, m in enumerate(messages)]


START = (
    "firmware version: 16.35.2000",
    "mlx5_satisfy_startup_pages:649:(pid 7): requested 6 boot pages for func_id 0x0",
    "give_pages:411:(pid 7): npages 6, ec_function 0, func_id 0x0, err 0",
    "mlx5_satisfy_startup_pages:649:(pid 7): requested 100 init pages for func_id 0x0",
    "give_pages:411:(pid 7): npages 100, ec_function 0, func_id 0x0, err 0",
)
SWEEP = ("reclaim_pages:540:(pid 1): func 0x0, npages 768, outlen 6160",)


# -- kernels


def without_dumps(lines: Lines) -> Lines:
    return [line for line in lines if "dump" not in line and not _DUMP_LINE.match(line) and "command block" not in line]


def without_slots(lines: Lines) -> Lines:
    """Linux before 5.18: dump lines and headlines do not say the slot, and there is no start or end."""
    old = [line for line in lines if "start dump" not in line and "end dump" not in line]
    return [re.sub(r"cmd\[\d+\]: (?=dump command|command block|[0-9a-f]{3,}: )", "", line) for line in old]


def func_id_words(lines: Lines) -> Lines:
    """Linux 6.1: no mode word, func_id instead of func."""
    mode = re.compile(r"(npages -?\d+, ec_function \d), func (0x[0-9a-f]+), mode \d")
    old = [re.sub(r" mode \d$", "", mode.sub(r"\1, func_id \2", line)) for line in lines]
    return [line.replace("func_vhca_id", "func_id") for line in old]


def named_by_driver(lines: Lines) -> Lines:
    """Linux 4.x: the driver puts the device's name in front of its own."""
    return [re.sub(r"(mlx5_core (0000:\S+): )(\w+:\d+:\(pid)", r"\1\2:\3", line) for line in lines]


def data_only(lines: Lines) -> Lines:
    """debug_mask has MLX5_CMD_DATA: the message's first 16 bytes, then the data of mailboxes alone."""
    out: Lines = []
    i = 0
    while i < len(lines):
        m = re.match(r"(\[ *\d+\.\d+\] )(.*cmd\[(\d+)\]: )dump command (\S+) (INPUT|OUTPUT)$", lines[i])
        if m is None:
            out.append(lines[i])
            i += 1
            continue
        stamp, slot, output = m[1], m[3], m[5] == "OUTPUT"
        out.append(f"{stamp}{m[2]}dump command data {m[4]} {m[5]}")
        i += 1
        raw = b""
        while "end dump" not in lines[i]:
            if d := _DUMP_LINE.match(lines[i]):
                raw += bytes.fromhex(d[4])
            i += 1
        length = int.from_bytes(raw[56:60] if output else raw[4:8], "big")
        message = raw[32:48] if output else raw[16:32]
        message += b"".join(raw[at : at + 512] for at in range(64, len(raw), 576))
        cut = max(16, -(-length // 16) * 16)
        for at in range(0, min(cut, len(message)), 16):
            words = message[at : at + 16].hex(" ", 4)
            out.append(f"{stamp}cmd[{slot}]: {at:03x}: {words}")
        out.append(stamp)
    return out


def other_device(lines: Lines, name: str = "0000:03:00.1") -> Lines:
    return [line.replace("0000:00:03.0", name) for line in lines]


def vhca_to_dmesg_functions() -> dict[str, tuple[int, int, int]]:
    """given, returned, released of the golden dmesg."""
    return {"vhca:0x5": (2595, 2595, 0), "vhca:0x31": (71, 17, 54)}
