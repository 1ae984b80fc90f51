"""The driver's side, which supplies the pages: session, start-up and close, page path, vports, fences.

``Host`` (``host.py``) is the whole of it; ``io.py`` has its inputs and effects.
"""

from fwpages.custody.bounds import Bounds
from fwpages.custody.findings import Blame, Finding
from fwpages.custody.ledger import CustodyError
from fwpages.host.accounts import Account, Books, books
from fwpages.host.config import Config
from fwpages.host.host import Host
from fwpages.host.io import (
    Aborted,
    Answered,
    Close,
    DisableVport,
    Done,
    Effect,
    EnableVport,
    EswFunctionsChanged,
    Fenced,
    FunctionsChanged,
    HealthFatal,
    Input,
    LinkLost,
    Map,
    Mapped,
    Misuse,
    Open,
    Operation,
    OperationKind,
    PageRequest,
    Proof,
    Reset,
    Scope,
    Send,
    Tick,
    Unmap,
    VportInfo,
    WantedMode,
)
from fwpages.host.session import Phase

__all__ = [
    "Aborted",
    "Account",
    "Answered",
    "Blame",
    "Books",
    "Bounds",
    "Close",
    "Config",
    "CustodyError",
    "DisableVport",
    "Done",
    "Effect",
    "EnableVport",
    "EswFunctionsChanged",
    "Fenced",
    "Finding",
    "FunctionsChanged",
    "HealthFatal",
    "Host",
    "Input",
    "LinkLost",
    "Map",
    "Mapped",
    "Misuse",
    "Open",
    "Operation",
    "OperationKind",
    "PageRequest",
    "Phase",
    "Proof",
    "Reset",
    "Scope",
    "Send",
    "Tick",
    "Unmap",
    "VportInfo",
    "WantedMode",
    "books",
]
