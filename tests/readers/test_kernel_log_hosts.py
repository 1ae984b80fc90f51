"""Logs of several machines, of other systems and of other drivers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.readers.hosts import Hosts
from fwpages.readers.inputs import InputError
from tests.auditor.logs import DMESG, Lines, accounts, audit_lines, dmesg, only

TRUTH = only(audit(DMESG))

#: how the shells of clusters, consoles and collectors write the machine in front of a line
SHELLS: dict[str, Callable[[str, str], str]] = {
    "pdsh": lambda node, line: f"{node}: {line}",
    "ansible": lambda node, line: f"{node} | {line}",
    "console": lambda node, line: f"[{node}] {line}",
    "screen": lambda node, line: f"{node}> {line}",
    "plain": lambda node, line: f"{node} {line}",
    "talos": lambda node, line: f"{node}: kern:    info: [2024-02-02T10:00:00.1Z]: {re.sub(r'^.{15}', '', line)}",
    "untimed": lambda node, line: f"{node}: {re.sub(r'^.{15}', '', line)}",
    "syslog": lambda node, line: f"Feb  2 10:00:00 {node} kernel: {line}",
    "angle": lambda node, line: f"<{node}> {line}",
}


def _lines_about_pages() -> Lines:
    return [line for line in dmesg() if "mlx5_core 0000" in line and "dump" not in line]


def _later(lines: Lines) -> Lines:
    """The same lines some seconds later."""
    return [f"[{float(line[1:13]) + 7:12.6f}]{line[14:]}" for line in lines]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("nodes", [("node-a", "node-b"), ("gpu01.example", "gpu02.example"), ("10.5.0.2", "10.5.0.3")])
def test_machines_that_take_turns_are_refused_by_name(shell: str, nodes: tuple[str, str], tmp_path: Path) -> None:
    if shell == "plain" and nodes[0][0].isdigit():
        nodes = ("a10", "a11")
    turns = zip(_lines_about_pages(), _later(_lines_about_pages()), strict=True)
    lines = [SHELLS[shell](node, line) for both in turns for node, line in zip(nodes, both, strict=True)]
    with pytest.raises(InputError, match=r"lines of the hosts .* mixed: audit each by itself:\n    grep") as refused:
        audit_lines(tmp_path, lines)
    assert all(node in str(refused.value) for node in nodes)


@pytest.mark.parametrize("shell", SHELLS)
def test_one_machine_s_name_in_front_of_each_line_changes_nothing(shell: str, tmp_path: Path) -> None:
    lines = _lines_about_pages()
    bare, named = audit_lines(tmp_path, lines), audit_lines(tmp_path, [SHELLS[shell]("node-7", x) for x in lines])
    assert accounts(only(named)) == accounts(only(bare))


@pytest.mark.parametrize("shell", ["pdsh", "ansible", "syslog"])
def test_machines_one_after_the_other_are_sessions_of_their_own(shell: str, tmp_path: Path) -> None:
    lines = [SHELLS[shell](node, line) for node in ("node-a", "node-b") for line in _lines_about_pages()]
    first, second = audit_lines(tmp_path, lines).sessions
    assert accounts(first) == accounts(second)


@pytest.mark.parametrize("prompt", ["nas> ", "root@nas:~# dmesg ", "here it is: "])
def test_words_before_the_first_line_change_nothing(prompt: str, tmp_path: Path) -> None:
    lines = dmesg()
    at = next(n for n, line in enumerate(lines) if "firmware version" in line)
    s = only(audit_lines(tmp_path, ["$ dmesg | grep mlx5", *lines[:at], prompt + lines[at], *lines[at + 1 :]]))
    assert accounts(s) == accounts(TRUTH)


@pytest.mark.parametrize(
    "prefix",
    [
        "kern  :info  : [    1.000000] ",
        "kernel: [    1.000000] ",
        "<6>[    1.000000] ",
        "7,1000,5000,-;",
        "  12  [ 3.1] ",
        "[Mon Nov 21 09:02:53 2026] ",
        "[Nov21 09:02] ",
        "[  +0.000003] ",
        "2026-11-21T09:02:53Z ",
        "mlx5_core: ",
    ],
)
def test_what_else_stands_in_front_of_a_line_is_no_machine(prefix: str) -> None:
    hosts = Hosts("log")
    assert [hosts.follows(p) for p in (prefix, "node-a: [    1.0] ", prefix, "node-a: [    1.0] ")] == [None] * 4


FREEBSD = {
    "mlx5_core0: INFO: mlx5_load_one:1240:(pid 0): firmware version: 16.35.4506": "mlx5_core0",
    "mlx5_core1: WARN: wait_func:967:(pid 0): MANAGE_PAGES(0x108) timeout. Will cause a leak of a command resource": (
        "mlx5_core1"
    ),
    "Apr  1 02:03:04 bsd kernel: mlx5_core10: ERR: reclaim_pages:431:(pid 0): failed reclaiming pages": "mlx5_core10",
}


@pytest.mark.parametrize("line", FREEBSD)
def test_freebsd_s_driver_is_read(line: str, tmp_path: Path) -> None:
    assert only(audit_lines(tmp_path, [line])).device == FREEBSD[line]


@pytest.mark.parametrize(
    ("driver", "line"),
    [
        ("nmlx5_core", "2023-04-11T08:15:42Z cpu3:20)<NMLX_ERR> nmlx5_core: vmnic5: nmlx5_core_GivePages - failed"),
        ("nmlx4_core", "2019-02-01T08:15:42Z cpu3:20)<NMLX_INF> nmlx4_core: 0000:04:00.0: initialised"),
        ("mlx4_core", "[    9.3] mlx4_core 0000:04:00.0: command 0x31 timed out (go bit not cleared)"),
        ("mlxsw_spectrum", "[    9.3] mlxsw_spectrum 0000:01:00.0: cmd exec failed (status 0x8)"),
    ],
)
def test_a_log_of_another_driver_is_refused_by_its_name(driver: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"is a log of {driver}"):
        audit_lines(tmp_path, ["[    0.0] Linux version 6.1", line])


def test_another_driver_s_lines_beside_mlx5_core_s_do_not_matter(tmp_path: Path) -> None:
    noise = ["[    2.3] mlx4_core 0000:04:00.0: command 0x31 timed out (go bit not cleared)"]
    assert accounts(only(audit_lines(tmp_path, noise + dmesg()))) == accounts(TRUTH)


@pytest.mark.parametrize("function", ["mlx5_cmd_out_err", "mlx5_core_warn_rl", "print_health_info"])
def test_suppressed_repetitions_of_a_warning_lose_nothing(function: str, tmp_path: Path) -> None:
    lines = dmesg()
    s = only(audit_lines(tmp_path, [*lines[:4000], f"[    4.5] {function}: 34 callbacks suppressed", *lines[4000:]]))
    assert (s.findings, s.functions) == ([], TRUTH.functions)
