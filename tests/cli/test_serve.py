from __future__ import annotations

import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from fwpages.cli import invoke
from fwpages.cli.serve import machine_command
from fwpages.device import PlannedFault
from fwpages.link.vfio_user.server import Server
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.report.serve import ServeReport, serve_report, show_served
from fwpages.scenario.served_runner import ServedRun
from tests.link.vfio_client import HELLO, Wire, message
from tests.report.junit_structure import parsed
from tests.scenario.stage import Stage, steps
from tests.sockets import short

CODE = "import sys; from fwpages.cli import main; main()"


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As pytest's, by a name that is short enough for sockets in it."""
    with short(tmp_path) as folder:
        yield folder


def serve(*args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE, "serve", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "s"
    with serve("--socket", str(path), "reset") as p:
        wait_for(path)
        p.send_signal(number)
        out, err = p.communicate(timeout=30)
    assert (p.returncode, err) == (4, "")
    assert f'"path":"{path}"' in out
    assert "memory-backend-memfd,id=ram,size=1G,share=on" in out
    assert "never happened: step[0] (open)" in out
    assert "missing: a driver: none came" in out.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_as_soon_as_the_socket_is_there(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def quick(path: Path, device: ServedRun) -> Server:
        made = Server(path, device)
        signal.raise_signal(number)
        return made

    monkeypatch.setattr("fwpages.cli.serve.Server", quick)
    assert invoke(["serve", "--socket", str(tmp_path / "s"), "reset"]) == 4
    assert "missing: a driver: none came" in capsys.readouterr().out.splitlines()[-1]


def test_once_as_json_with_a_trace(tmp_path: Path) -> None:
    path, trace, junit = tmp_path / "s", tmp_path / "t.jsonl", tmp_path / "junit.xml"
    files = "--trace", str(trace), "--junit", str(junit)
    with serve("--socket", str(path), "--once", "--json", *files, "reset") as p:
        wait_for(path)
        wire = Wire(path)
        wire.send(message(1, HELLO))
        assert wire.answer()[0] == 0
        wire.close()
        out, err = p.communicate(timeout=30)
    report = json.loads(out)
    assert report["schema"] == "serve/2"
    assert (report["sessions"], report["offences"], report["verdict"], report["clean"]) == ([], [], "not known", None)
    assert report["missing"][0] == {"what": "a driver: none came", "command": ""}
    assert p.returncode == 4
    assert "a virtual machine is here" in err
    cases = parsed(junit.read_bytes()).iter("testcase")
    assert [case.attrib["name"] for case in cases if case.find("error") is not None] == ["verdict", "steps and faults"]
    assert [json.loads(row)["kind"] for row in trace.read_text().splitlines()] == ["header", "end"]


def test_socket_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        assert invoke(["serve", "--socket", str(tmp_path / "s")]) == 2
    assert "another server is using it" in capsys.readouterr().err


def test_path_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ("s" * 107)
    assert invoke(["serve", "--socket", str(path)]) == 2
    reported = capsys.readouterr().err
    assert f"{path}: {len(str(path))} bytes, and the name of a UNIX socket has at most 107" in reported
    assert list(tmp_path.iterdir()) == []


def test_places_for_vfs() -> None:
    options = machine_command(Path("/tmp/s"), 2)
    assert "-device pci-testdev,bus=rp0,addr=1 \\\n    -device pci-testdev,bus=rp0,addr=2 \\\n" in options


def test_the_command_for_a_machine_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the names are: with what ``make vm`` built where it is there, and for a disk of the reader's own."""
    monkeypatch.setenv("FWPAGES_QEMU", str(tmp_path / "my qemu"))
    for build in (tmp_path / "no", tmp_path / "a build"):
        monkeypatch.setattr("fwpages.cli.serve.BUILD", build)
        words = shlex.split(machine_command(tmp_path / "it's").replace("\\\n", ""))
        assert words[0] == str(tmp_path / "my qemu")
        assert json.loads(words[words.index("pcie-root-port,id=rp0,slot=1") + 2])["socket"]["path"] == str(
            tmp_path / "it's"
        )
        assert "..." not in words
        assert ("-kernel" in words) is (build.name == "a build")
        (tmp_path / "a build" / "new").mkdir(parents=True, exist_ok=True)
        for name in ("vmlinuz", "initramfs"):
            (tmp_path / "a build" / "new" / name).touch()
    monkeypatch.chdir(tmp_path)
    assert "-kernel 'a build/new/vmlinuz' -initrd 'a build/new/initramfs'" in machine_command(Path("s"))


def test_longer_than_a_socket_from_the_root_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name as it was given is good for QEMU too, started in the same folder."""
    folder = tmp_path / ("d" * 107)
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert '"path":"s"' in machine_command(Path("s"))
    monkeypatch.chdir("/")
    assert '"path":"/s"' in machine_command(Path("s"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["no-such"], "there is no scenario"),
        (["--fault", "link-lost"], "a served device has none of these"),
        (["--fault", "nonsense"], "there is no fault"),
        (["--sriov", "reopen"], "functions of type vf"),
    ],
)
def test_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], words: str) -> None:
    assert invoke(["serve", "--socket", str(tmp_path / "s"), *args]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_asks_and_opens_nothing_did_come() -> None:
    stage = Stage(steps('do = "open"'))
    assert "none came" in serve_report(stage.serving, scenario="test").summary
    driver = stage.driver()
    driver.set_up()
    assert driver.command(Command(Opcode.QUERY_PAGES, QueryPages.BOOT)).status
    report = serve_report(stage.serving, scenario="test")
    assert (report.verdict, report.sessions) == ("findings", []), (
        "it broke a rule, which outranks that it opened nothing"
    )
    driver.close()


def _served(
    *rows: str, faults: tuple[PlannedFault, ...] = (), close: bool = True, lines: list[str] | None = None
) -> ServeReport:
    """A driver that opens the device, and closes it; then the machine ends."""
    stage = Stage(steps(*rows), faults=faults)
    driver = stage.driver()
    own = driver.up()
    if close:
        driver.down(own)
    stage.serving.tick()
    report = serve_report(stage.serving, scenario="test")
    if lines is not None:
        out = io.StringIO()
        show_served(report, stage.serving, Console(file=out))
        lines += out.getvalue().splitlines()
    driver.close()
    return report


OPEN, CLOSE, LATE = 'do = "open"', 'do = "close"', 'do = "wait"\nseconds = 1\ncommand = 9999'


def test_a_driver_that_did_all_that_the_scenario_has_is_clean() -> None:
    report = _served(OPEN, CLOSE)
    assert (report.verdict, report.clean, report.missing, report.missed) == ("clean", True, [], [])


def test_a_step_or_a_fault_that_never_happened_is_not_known() -> None:
    report = _served(OPEN, CLOSE, LATE)
    assert (report.verdict, report.clean, report.missed) == ("not known", None, ["step[2] (wait)"])
    lines: list[str] = []
    report = _served(OPEN, CLOSE, faults=(PlannedFault("take-nothing", 9999),), lines=lines)
    assert (report.verdict, report.missed) == ("not known", ["fault take-nothing@9999"])
    assert "fault never injected: take-nothing@9999" in lines


def test_an_open_device_is_consistent_so_far_and_a_machine_that_leaves_it_open_is_not() -> None:
    report = _served(OPEN, close=False)
    assert (report.verdict, report.clean, report.sessions[0].verdict) == (
        "consistent so far",
        None,
        "consistent so far",
    )


def test_a_report_page_has_the_functions_and_the_pages_over_time(tmp_path: Path) -> None:
    report = _served(OPEN, CLOSE, LATE)
    path, page = tmp_path / "served", tmp_path / "page.html"
    path.write_bytes(msgspec.json.encode(report))
    assert invoke(["report", str(path), "-o", str(page)]) == 4
    text = page.read_text("utf-8")
    assert "never happened: step[2] (wait)" in text
    assert "Pages over time" in text
    functions = report.sessions[0].functions.values()
    assert any(f.given for f in functions)
    assert all(f"{f.given:,}" in text for f in functions)


# -- for a program that starts it


def test_a_line_at_the_descriptor_says_that_the_socket_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "s"
    reading, writing = os.pipe()
    command = [
        sys.executable,
        "-c",
        CODE,
        "serve",
        "--socket",
        str(path),
        "--once",
        "--ready-fd",
        str(writing),
        "reset",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[writing], text=True) as p:
        os.close(writing)
        with open(reading) as ready:
            assert ready.read() == "ready\n", "the line, and the end: it is closed"
        Wire(path).close()
        p.communicate(timeout=30)
    assert p.returncode == 4


def test_a_server_that_cannot_listen_closes_the_descriptor_without_a_line(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    (tmp_path / "s").write_text("no socket")
    assert invoke(["serve", "--socket", str(tmp_path / "s"), "--ready-fd", str(writing)]) == 2
    os.close(writing)
    with open(reading) as ready:
        assert ready.read() == ""


def test_nobody_reads_that_it_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = ["serve", "--socket", str(tmp_path / "s"), "--limit", "1", "--ready-fd", str(writing), "reset"]
    assert invoke(words) == 4
    assert capsys.readouterr().err == f"--ready-fd {writing}: Broken pipe\n"


@pytest.mark.parametrize(
    ("fd", "words"),
    [
        ("1", "1 is a standard stream"),
        ("-4", "-4 is a standard stream, or none"),
        ("9999", "9999 is not open"),
        ("99999999999999", "99999999999999 is not open"),
        ("x", "x is no number of a descriptor"),
    ],
)
def test_descriptors_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], fd: str, words: str) -> None:
    assert invoke(["serve", "--socket", str(tmp_path / "s"), "--ready-fd", fd]) == 2
    assert words in capsys.readouterr().err


def test_a_descriptor_for_reading_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(os.devnull) as stream:
        assert invoke(["serve", "--socket", str(tmp_path / "s"), "--ready-fd", str(stream.fileno())]) == 2
    assert "open for reading alone" in capsys.readouterr().err


def test_a_server_ends_by_itself_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["serve", "--socket", str(tmp_path / "s"), "--limit", "1", "--json", "reset"]) == 4
    said = capsys.readouterr()
    assert json.loads(said.out)["missing"][0] == {"what": "a driver: none came", "command": ""}
    assert said.err.splitlines()[-1] == "--limit 1: the time is over, the server ends"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9", "604801"])
def test_limits_that_are_refused(tmp_path: Path, seconds: str) -> None:
    assert invoke(["serve", "--socket", str(tmp_path / "s"), "--limit", seconds]) == 2
