"""Threads, locks and command slots of the Linux model, and what a thread stands still at.

Theory of operation. Linux's functions call each other and sleep in the middle. The explorer must stop a thread at such
a place, copy the whole driver, and go on in every order; so a thread's stack is data. A thread is a tuple of *frames*,
the next one last. A frame is a frozen value: its class is the place in Linux's code from which the thread goes on, its
fields are the local variables that are still needed there. ``Frame.resume`` runs from that place to the next at which
the thread stands still or the function returns. It returns either a ``Wait``, or the function's result as Linux has
it: 0, a number, or a negative error. The result goes to the frame below. What a frame has to call, it pushes; a pushed
frame runs next.

A ``Wait`` says what the thread stands still at. Some end by an input (an answer, a mapping, a fence), some by another
thread (a lock, the page commands' slot, the worker's end), some by time, and two by ``Run`` alone: there another
thread could see a difference, so the explorer tries every order. A command's reply is more than a number: the wait
itself holds the ``ReplyFrame`` that takes it. After each input ``settle`` lets every thread go on whose wait is over,
in the order in which they began to wait, until none is left.

Deadlines are in the waits, so that a state's key can count them from now; frames hold no times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from fwpages.explore.designs.linux.choices import Choices
from fwpages.explore.designs.linux.errors import ENOMEM, ENXIO, ETIMEDOUT
from fwpages.explore.designs.linux.state import State
from fwpages.explore.model.driver import DriverConfig
from fwpages.host import Map, Send
from fwpages.host.io import Operation
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import PAGE_SLOT, Opcode, opcode_name

ThreadName: TypeAlias = Literal["driver", "eswitch", "pages", "health"]
LockName: TypeAlias = Literal["devlink", "state_lock"]


class Reply(NamedTuple):
    """The result of mlx5_cmd_do, and the answer if there is one.

    ``err``: 0, -EREMOTEIO (status not OK), -ETIMEDOUT, -ENXIO (not delivered).
    """

    err: int
    answer: Answer | None


@dataclass(frozen=True)
class Flight:
    """A command that has a slot. ``late``: given up after its time; only a real completion frees the slot then.

    cmd.c:mlx5_cmd_comp_handler puts the reference that a completion by firmware would put only in that case, or where
    the command interface is down.
    """

    id: int
    slot: int
    thread: ThreadName
    command: Command
    deadline: float
    late: bool = False

    @cached_property
    def values(self) -> str:
        """All of it but its number and times, for a state's key. Made once: a command is in many states."""
        return repr((self.slot, self.thread, _command_values(self.command)))


class Part:
    """A part of a thread: a frozen dataclass, which a state's key takes by its class and its fields."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]


class Wait(Part):
    """A place at which a thread stands still, and what ends that. A deadline is a field named ``deadline``."""

    __slots__ = ()
    #: the result with which the thread goes on when the deadline has passed
    late: ClassVar[int] = ETIMEDOUT

    @property
    def until(self) -> float | None:
        """When a Tick ends it."""
        return None

    def over(self, _: Kernel) -> bool:
        """Another thread has ended it."""
        return False

    def runnable(self, _: Kernel) -> bool:
        """Run ends it."""
        return False

    def wake(self, kernel: Kernel, name: ThreadName) -> None:
        """The thread goes on after ``over``."""
        kernel.resume(name)

    def __str__(self) -> str:
        """For ``View.waiting``."""
        raise NotImplementedError


Outcome: TypeAlias = Wait | int


class Frame(Part):
    """A place from which a thread goes on, with the local variables that it needs there."""

    __slots__ = ()

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Go on after the function called last returned ``result``, or after the wait ended with it."""
        raise NotImplementedError


class ReplyFrame(Part):
    """A place from which a thread goes on with a command's reply."""

    __slots__ = ()

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """Go on with what mlx5_cmd_do returned."""
        raise NotImplementedError


@dataclass(frozen=True)
class Thread:
    """A thread that is under way: the operation that it carries out, its frames, and what it stands still at."""

    operation: Operation | None
    stack: tuple[Frame, ...]
    wait: Wait | None

    @cached_property
    def values(self) -> str:
        """All of it but times, for a state's key. Made once: a thread that stands still is in many states."""
        return repr(
            (self.operation and str(self.operation), [*map(_values, self.stack)], self.wait and _values(self.wait))
        )


def _values(part: Part) -> object:
    """A frame or a wait as its class and fields, without times."""
    values = [getattr(part, name) for name in part.__match_args__ if name != "deadline"]
    return type(part).__name__, [
        _values(x) if isinstance(x, Part) else _command_values(x) if isinstance(x, Command) else x for x in values
    ]


def _command_values(command: Command) -> object:
    """A command for a state's key."""
    return command.opcode, command.op_mod, sorted(command.fields.items()), command.pas.tobytes(), command.data


class Kernel(State):
    """The state with the threads that work on it."""

    def __init__(self, choices: Choices, config: DriverConfig | None = None, *, removes: bool = False) -> None:
        super().__init__(choices, config, removes=removes)
        self.running: dict[ThreadName, Thread] = {}
        self.locks: dict[LockName, ThreadName] = {}
        self.flights: dict[int, Flight] = {}
        self.next_id = 1
        # of the thread that runs while an input is served
        self._stack: list[Frame] = []
        self._name: ThreadName = "driver"

    @property
    def thread(self) -> ThreadName:
        """The thread that runs."""
        return self._name

    # -- threads ------------------------------------------------------------------------------------------------------

    def start(self, name: ThreadName, operation: Operation | None, frame: Frame) -> None:
        """A thread begins with this frame."""
        self.running[name] = Thread(operation, (frame,), None)
        self.resume(name)

    def push(self, frame: Frame) -> None:
        """The running thread calls this next, before what it was to do next so far."""
        self._stack.append(frame)

    def resume(self, name: ThreadName, result: int = 0) -> None:
        """A thread goes on: what it waited for ended with ``result``."""
        self._run(name, lambda: result)

    def reply(self, name: ThreadName, reply: Reply) -> None:
        """A thread that waits for a command's reply goes on with it."""
        wait = self.running[name].wait
        assert isinstance(wait, ForReply)
        self._run(name, lambda: wait.then.resume(self, reply))

    def _run(self, name: ThreadName, first: Callable[[], Outcome]) -> None:
        outer = self._name, self._stack
        thread = self.running.pop(name)
        self.running[name] = replace(thread, wait=None)
        self._name, self._stack = name, list(thread.stack)
        outcome = first()
        while not isinstance(outcome, Wait) and self._stack:
            outcome = self._stack.pop().resume(self, outcome)
        if isinstance(outcome, Wait):
            self.running[name] = replace(self.running[name], stack=tuple(self._stack), wait=outcome)
        else:
            del self.running[name]
        self._name, self._stack = outer

    def becomes(self, operation: Operation) -> None:
        """The running thread carries out another operation from here on."""
        self.running[self._name] = replace(self.running[self._name], operation=operation)

    def settle(self) -> None:
        """Every thread whose wait another has ended goes on, in the order in which they began to wait."""
        again = True
        while again:
            again = False
            for name, thread in self.running.items():
                if thread.wait is not None and thread.wait.over(self):
                    thread.wait.wake(self, name)
                    again = True
                    break

    # -- locks --------------------------------------------------------------------------------------------------------

    def lock(self, lock: LockName) -> Outcome:
        """mutex_lock, to be returned: the thread has it when it goes on."""
        if lock in self.locks:
            return ForLock(lock)
        self.locks[lock] = self._name
        return 0

    def unlock(self, lock: LockName) -> None:
        """mutex_unlock; a thread that waits for it goes on when the running thread stands still."""
        del self.locks[lock]

    # -- commands (cmd.c) ---------------------------------------------------------------------------------------------

    def command(self, command: Command, then: ReplyFrame) -> Outcome:
        """cmd.c:mlx5_cmd_do, to be returned; ``then`` takes its reply.

        Page commands go one at a time on the last slot, and wait for it without a bound (``pages_sem``).
        """
        if self.down:
            return then.resume(self, Reply(ENXIO, None))
        if command.opcode == Opcode.MANAGE_PAGES and self.page_slot_taken:
            return ForPageSlot(then, command)
        return self.send(self._name, command, then)

    @property
    def page_slot_taken(self) -> bool:
        """A page command has the slot, given up or not."""
        return any(f.slot == PAGE_SLOT for f in self.flights.values())

    def send(self, name: ThreadName, command: Command, then: ReplyFrame) -> ForAnswer:
        """Hand a command over for this thread, which waits for the answer."""
        taken = {f.slot for f in self.flights.values()}
        pages = command.opcode == Opcode.MANAGE_PAGES
        slot = PAGE_SLOT if pages else next(n for n in range(PAGE_SLOT) if n not in taken)
        n = self.next_id
        self.next_id += 1
        self.flights[n] = Flight(n, slot, name, command, self.now + self.config.bounds.command)
        self.emit(Send(self.session, n, slot, command))
        return ForAnswer(then, command.opcode)

    def flush_commands(self) -> None:
        """cmd.c:mlx5_cmd_trigger_completions: commands under way end as not delivered, executed by firmware or not."""
        for n, flight in list(self.flights.items()):
            if not flight.late:
                del self.flights[n]
                self.reply(flight.thread, Reply(ENXIO, None))

    # -- memory -------------------------------------------------------------------------------------------------------

    def map(self) -> Outcome:
        """pagealloc.c:alloc_system_page, to be returned: the address of a new mapping, or -ENOMEM."""
        if len(self.mapped) * self.blocks >= self.config.bounds.memory:
            return ENOMEM
        iova, size = self.config.base, 1 << self.shift
        while iova in self.mapped:
            iova += size
        self.mapped |= {iova}
        self.emit(Map(iova, self.blocks))
        return ForMapping(iova)


# -- waits ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForReply(Wait):
    """mlx5_cmd_do: ``then`` takes the reply."""

    then: ReplyFrame


@dataclass(frozen=True, slots=True)
class ForAnswer(ForReply):
    """The command was handed over; its flight has the deadline."""

    opcode: int

    def __str__(self) -> str:
        return f"answer to {opcode_name(self.opcode)}"


@dataclass(frozen=True, slots=True)
class ForPageSlot(ForReply):
    """``pages_sem``: another page command has the slot, and this one stands behind it."""

    command: Command

    def over(self, kernel: Kernel) -> bool:
        """The slot is free."""
        return not kernel.page_slot_taken

    def wake(self, kernel: Kernel, name: ThreadName) -> None:
        """The command is handed over now, unless the device has gone down."""
        if kernel.down:
            kernel.reply(name, Reply(ENXIO, None))
        else:
            wait = kernel.send(name, self.command, self.then)
            kernel.running[name] = replace(kernel.running[name], wait=wait)

    def __str__(self) -> str:
        return "the page commands' slot"


@dataclass(frozen=True, slots=True)
class ForLock(Wait):
    """A mutex that another thread holds."""

    lock: LockName

    def over(self, kernel: Kernel) -> bool:
        """It was let go of."""
        return self.lock not in kernel.locks

    def wake(self, kernel: Kernel, name: ThreadName) -> None:
        """The thread has it now."""
        kernel.locks[self.lock] = name
        kernel.resume(name)

    def __str__(self) -> str:
        return self.lock


@dataclass(frozen=True, slots=True)
class ForMapping(Wait):
    """dma_map_page of a system page; it ends with the address, or with -ENOMEM."""

    iova: int

    def __str__(self) -> str:
        return "memory"


@dataclass(frozen=True, slots=True)
class Paused(Wait):
    """A place at which another thread or an event could see a difference: the thread goes on upon Run."""

    place: str

    def runnable(self, _: Kernel) -> bool:
        """At any time."""
        return True

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True, slots=True)
class ForPages(Wait):
    """mlx5_wait_for_pages between two looks at the counter of a type; ``count`` is its value at the last look."""

    type: str
    count: int
    deadline: float

    @property
    def until(self) -> float | None:
        """The end of the time without progress."""
        return self.deadline

    def runnable(self, kernel: Kernel) -> bool:
        """A look would find something new."""
        n = kernel.counters.get(self.type, 0)
        return n == 0 or n < self.count

    def __str__(self) -> str:
        return self.type


@dataclass(frozen=True, slots=True)
class BetweenTakes(Wait):
    """mlx5_reclaim_root_pages after a TAKE that brought nothing, until the next."""

    deadline: float
    late: ClassVar[int] = 0

    @property
    def until(self) -> float | None:
        """The next TAKE."""
        return self.deadline

    def __str__(self) -> str:
        return "the next TAKE"


@dataclass(frozen=True, slots=True)
class ForWorker(Wait):
    """flush_workqueue of ``pg_wq``: until every queued request has been served."""

    def over(self, kernel: Kernel) -> bool:
        """Nothing is queued or being served."""
        return not kernel.requests and "pages" not in kernel.running

    def __str__(self) -> str:
        return "the page worker"


@dataclass(frozen=True, slots=True)
class ForLateAnswers(Wait):
    """mlx5_cmd_flush: until firmware has completed the commands that were given up."""

    def over(self, kernel: Kernel) -> bool:
        """Every slot is free."""
        return not kernel.flights

    def __str__(self) -> str:
        return "the slot of a command that was given up"


@dataclass(frozen=True, slots=True)
class ForFence(Wait):
    """pci_disable_device: until the device is cut off."""

    of: str
    deadline: float

    @property
    def until(self) -> float | None:
        """The end of the time that a reset may take."""
        return self.deadline

    def __str__(self) -> str:
        return self.of


@dataclass(frozen=True, slots=True)
class Crashed(Wait):
    """Memory was overwritten; the model goes no further."""

    def __str__(self) -> str:
        return "nothing: memory was overwritten"
