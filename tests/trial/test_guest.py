"""Commands in a machine, by the lines that come over its serial port."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fwpages.trial.errors import CommandFailedError
from fwpages.trial.guest import MOST_OUTPUT, Guest
from fwpages.trial.kernel import Kernel

#: takes the serial port as QEMU does, boots, and answers with what it is asked for, so often
ANSWERS = """
import socket
port = socket.socket(socket.AF_UNIX)
port.connect("port")
port.sendall(b"READY 7.2.0\\n")
for line in port.makefile("rb"):
    number, text, times = line.split()
    port.sendall((text + b"\\n") * int(times) + b"END " + number + b" 0\\n")
"""


def test_output_that_is_not_kept_whole_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log without its first half would be taken for a log."""
    script = tmp_path / "qemu"
    script.write_text(f"#!{sys.executable}{ANSWERS}")
    script.chmod(0o755)
    monkeypatch.setenv("FWPAGES_QEMU", str(script))
    line = "0123456"
    n = MOST_OUTPUT // len(f"{line}\n") + 1000
    with Guest(Kernel(Path("vmlinuz"), Path("initramfs"), "7.2.0"), None, tmp_path / "machine") as g:
        g.ready()
        assert g.ok(f"{line} 3") == f"{line}\n" * 3
        with pytest.raises(CommandFailedError, match=rf"{line} {n}: its first \d+ bytes are lost, beyond 4 MiB"):
            g.ok(f"{line} {n}")
        assert g.ok(f"{line} 3") == f"{line}\n" * 3, "the next one is whole"
