"""The values that the Linux models are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from fwpages.host import VportInfo
from fwpages.prm.message import Answer, Command

#: errno, negative as Linux's functions return them
ENOENT, ENXIO, ENOMEM, EBUSY, EEXIST, EINVAL, EIO, ENOLINK, ETIMEDOUT, EREMOTEIO = (
    -2,
    -6,
    -12,
    -16,
    -17,
    -22,
    -5,
    -67,
    -110,
    -121,
)


class Frame(NamedTuple):
    """A step that a thread has yet to do: its name in STEPS, and plain values. No times: those are in ``ends``."""

    step: str
    args: tuple[Any, ...] = ()


class FwPage(NamedTuple):
    """struct fw_page: a system page lent in blocks of 4 KiB. Bit n of ``bits``: block n is free.

    ``free`` is counted apart from the bits, as in Linux, and may disagree with them.
    """

    iova: int
    function: int
    type: str | None
    bits: int
    free: int


@dataclass(frozen=True, slots=True)
class Wait:
    """What a thread stands still at.

    ``answer`` to a command (``count`` its opcode), ``lock``, ``slot`` (pages_sem), ``map`` (``count`` the I/O address),
    ``pause`` (an interruption point), ``poll`` (mlx5_wait_for_pages: ``what`` the counter, ``count`` its last value),
    ``sleep``, ``flush`` (the work queue), ``late`` (commands that were given up), ``fence``, ``crash``.
    """

    kind: str
    what: str = ""
    count: int = 0
    deadline: float | None = None
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread that is under way: the operation by Done's name (or ""), its frames, the next one last."""

    what: str
    stack: tuple[Frame, ...]
    wait: Wait | None


@dataclass(frozen=True, slots=True)
class Flight:
    """A command that has a slot. ``late``: given up after its time; only a real completion frees the slot then.

    cmd.c:mlx5_cmd_comp_handler puts the reference that a completion by firmware would put only in that case, or where
    the command interface is down.
    """

    id: int
    slot: int
    thread: str
    command: Command
    deadline: float
    late: bool = False


class Reply(NamedTuple):
    """What mlx5_cmd_do returns, and the answer: 0, -EREMOTEIO (status not OK), -ETIMEDOUT, -ENXIO (not delivered)."""

    err: int
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Vport:
    """struct mlx5_vport. ``vhca_id`` None is MLX5_VHCA_ID_INVALID; it stays when the vport is disabled."""

    info: VportInfo
    vhca_id: int | None = None
    #: the e-switch enabled the vport; the function's HCA is enabled (or its SF allocated)
    enabled: bool = False
    hca: bool = False
