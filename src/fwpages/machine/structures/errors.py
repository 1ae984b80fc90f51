"""The reasons for which the driver's structures cannot be read: a bad file, a machine that does not allow it, a reading
that does not hold together.
"""

from __future__ import annotations

from fwpages.custody.accounts import Missing


class FileError(ValueError):
    """A file that was given is not what it should be; the text names the file, what is wrong, and what to give."""


class NotPossibleError(RuntimeError):
    """This machine, or this core, does not allow the reading. ``missing`` says what would."""

    def __init__(self, what: str, command: str = "") -> None:
        super().__init__(what)
        self.missing = Missing(what=what, command=command)


class UnmappedError(LookupError):
    """An address that the core has no memory for: its content is not known."""

    def __init__(self, address: int) -> None:
        super().__init__(f"the core has no memory at {address:#x}")
        self.address = address


class TornError(RuntimeError):
    """A reading that does not hold together: a structure moved while it was read, or its memory could not be read."""
