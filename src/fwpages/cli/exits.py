"""Exit codes of the commands that judge: 0 clean, or consistent so far; 1 findings; 4 not known."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fwpages.custody.accounts import Verdict

EXIT_CODES: Mapping[Verdict, int] = MappingProxyType(
    {Verdict.CLEAN: 0, Verdict.CONSISTENT: 0, Verdict.FINDINGS: 1, Verdict.NOT_KNOWN: 4}
)


def exit_code(verdict: Verdict, *, fail_on_not_known: bool = True) -> int:
    """The exit code for this verdict; without ``fail_on_not_known`` a verdict that is not known exits with 0."""
    code = EXIT_CODES[verdict]
    return code if fail_on_not_known or verdict is not Verdict.NOT_KNOWN else 0
