"""Print what ``fw.machine.inspect`` says of the running kernel: its report, and the addresses of every page.

The tests run it in the guest. Line 1 is the report as JSON, line 2 an object: device, identity, and the addresses as
64-bit little-endian numbers, compressed and in base64. Exit code: as ``fwpages inspect``.
"""

from __future__ import annotations

import base64
import sys
import zlib

import msgspec

import fwpages as fw
from fwpages.cli.exits import exit_code

if __name__ == "__main__":
    i = fw.machine.inspect(max_seconds=60)
    found = {
        d.device: {
            f.identity: base64.b64encode(zlib.compress(i.addresses(d.device, f.identity).tobytes())).decode()
            for f in d.functions
        }
        for d in i.report.devices
    }
    print(msgspec.json.encode(i.report).decode())
    print(msgspec.json.encode(found).decode())
    sys.exit(exit_code(i.report.verdict))
