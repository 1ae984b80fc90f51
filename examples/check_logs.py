"""Audit kernel logs or traces and say a line about each: ``python check_logs.py FILE...``.

Exits with 1 on findings; what is not known is printed and is no failure, as with ``fwpages audit --fail-on findings``.
"""

from __future__ import annotations

import sys

import fwpages as fw
from fwpages.auditor.audit import InputError


def main(paths: list[str]) -> int:
    """Return 0 if nothing is wrong, 1 on findings, 2 if a file cannot be audited."""
    code = 0
    for path in paths:
        try:
            report = fw.audit(path)
        except InputError as e:
            print(f"{path}: {e}", file=sys.stderr)
            return 2
        for s in report.sessions:
            # a count is None where the log does not show it
            held = "an unknown number of" if s.totals.held is None else s.totals.held
            print(f"{path}: {s.device}, {s.end}, {s.verdict}: {held} pages held, {len(s.findings)} findings")
            for f in s.findings:
                print(f"  {f.name} ({f.blame}), {f.function or 'no function'}: {f.detail}")
        if report.clean is False:
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
