"""The result of a comparison as values. Schema ``diff/1``.

``None`` stands for a count that an input does not tell: it is never taken for zero. Counts are pages of 4 KiB unless
they count something else by their kind.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fwpages.comparison.kinds import Kind
from fwpages.prm.identity import FunctionType


class Outcome(StrEnum):
    """The judgement of a comparison. Equal is the rarest: all that the inputs can tell is known, and the same."""

    EQUAL = "equal"
    DIFFERENT = "different"
    #: nothing differs as far as both tell, and at least one does not tell enough
    NOT_KNOWN = "not known"


class Form(StrEnum):
    """The kind of an input."""

    TRACE = "trace"
    LOG = "log"
    AUDIT = "audit"
    RUN = "run"
    DRIVE = "drive"
    SERVE = "serve"
    INSPECT = "inspect"
    TOP = "top"


class Alignment(StrEnum):
    """The rule by which the functions of two sessions are taken for the same."""

    #: by the name in the session's mode, and its generation
    IDENTITY = "identity"
    #: by the scenario's name, and its generation
    NAME = "name"
    #: the first VF of one is the first VF of the other, and so on
    ORDER = "type and order"
    #: one input counts by type alone: the functions of a type are one
    TYPE = "type"


class Pairing(StrEnum):
    """The rule by which two sessions are taken for the same."""

    #: the same device; its first session with its first, and so on
    DEVICE = "device"
    #: the devices have other names: in the order of the inputs
    ORDER = "order"


class InputSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two inputs: its name, its kind, its sessions, and what it can tell at all.

    ``counts`` are the columns that an input of this kind can have, ``steps`` the kinds of sequences.
    """

    name: str
    form: Form
    sessions: int
    counts: tuple[str, ...]
    steps: tuple[Kind, ...]


class FunctionPair(msgspec.Struct, frozen=True, kw_only=True):
    """A function by its identity in either input; None where one does not have it, or does not name it.

    ``name`` is the scenario's, empty where there is none; ``generation`` counts the uses of the identity from 0.
    """

    a: str | None
    b: str | None
    name: str = ""
    type: FunctionType | None = None
    generation: int = 0


class SessionPair(msgspec.Struct, frozen=True, kw_only=True):
    """A session by its number in either input, from 1; None where one does not have it."""

    device_a: str | None
    device_b: str | None
    a: int | None
    b: int | None
    paired_by: Pairing
    aligned_by: Alignment | None = None
    functions: list[FunctionPair] = []


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that one sequence has at a place where the other has others, or none.

    ``at_a`` and ``at_b`` are the numbers of the first step there, from 1. Of ``steps_a`` and ``steps_b``, more are
    counted than listed: ``count_a`` and ``count_b`` are all of them.
    """

    at_a: int
    at_b: int
    count_a: int
    count_b: int
    steps_a: list[str] = []
    steps_b: list[str] = []


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, or one comparison that cannot be made (under ``not_known``).

    ``session`` is the number of the pair, from 1; None for what belongs to no session. ``what`` names the finding, the
    counter, the operation or the fault. ``a`` and ``b`` are what either input has. ``edits`` lead from the steps of A
    to those of B; ``more_edits`` counts those that are not listed.
    """

    kind: Kind
    session: int | None = None
    function: FunctionPair | None = None
    what: str = ""
    a: int | str | None = None
    b: int | str | None = None
    detail: str = ""
    edits: list[Edit] = []
    more_edits: int = 0


class Diff(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """Two inputs compared. ``differences`` outrank ``not_known``; ``notes`` say what is not compared, and why.

    ``identical``: the two inputs are the same byte for byte, which makes equal even what neither of them tells.
    """

    schema_: str = "diff/1"
    outcome: Outcome
    equal: bool | None
    identical: bool = False
    a: InputSide
    b: InputSide
    sessions: list[SessionPair]
    differences: list[Difference]
    not_known: list[Difference]
    notes: list[str] = []
