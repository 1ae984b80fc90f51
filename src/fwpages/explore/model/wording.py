"""Commands, answers, page requests and moves of a world in words; functions by their names in the scenario."""

from __future__ import annotations

from fwpages.explore.model.moves import (
    AnswerArrives,
    DeviceIsReset,
    DeviceTakes,
    LinkGivesUp,
    LossArrives,
    MemoryIsMapped,
    Move,
    RequestArrives,
    ThreadRuns,
    TimePasses,
    UserActs,
)
from fwpages.explore.model.world import World
from fwpages.host import Answered, PageRequest
from fwpages.pages.words import many
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, opcode_name
from fwpages.prm.status import status_words


def move_words(w: World, move: Move) -> str:
    """A move that ``w`` offers, in words."""
    match move:
        case UserActs():
            return w.rules.plan[move.user][w.next_deed[w.rules.users.index(move.user)]].words
        case LossArrives():
            return "reports that the device is gone"
        case ThreadRuns():
            return f"thread `{move.thread}` runs"
        case TimePasses():
            return "time passes" if w.quiet else "time runs out while something is pending"
        case _:
            does = _action(w, move)
            return does if move.fault is None else f"{does}; {move.fault}"


def _action(
    w: World, move: DeviceTakes | LinkGivesUp | AnswerArrives | RequestArrives | MemoryIsMapped | DeviceIsReset
) -> str:
    """A move that a fault may disturb, without its fault."""
    match move:
        case DeviceTakes():
            return f"takes {command_words(w, _sent(w, move.id))}"
        case LinkGivesUp():
            return f"carries {command_words(w, _sent(w, move.id))}"
        case AnswerArrives():
            return f"delivers the answer {answer_words(answer_of(w, move).answer)}"
        case RequestArrives():
            return f"delivers the {request_words(w, oldest_request(w))}"
        case MemoryIsMapped():
            return "maps memory"
        case DeviceIsReset():
            return "resets the device"


def answer_of(w: World, move: AnswerArrives) -> Answered:
    """The answer that the move delivers."""
    return next(x for x in w.inbox if isinstance(x, Answered) and x.id == move.id)


def oldest_request(w: World) -> PageRequest:
    """The page request that is delivered next."""
    return next(x for x in w.inbox if isinstance(x, PageRequest))


def _sent(w: World, n: int) -> Command:
    return next(e.command for e in w.sent if e.id == n)


def command_words(w: World, c: Command) -> str:
    """A command: the page commands by their kind and function, others by name."""
    name = opcode_name(c.opcode)
    if c.opcode == Opcode.MANAGE_PAGES:
        kind, who = ManagePages(c.op_mod), _function(w, c)
        return f"{kind.name} {who}" if kind is ManagePages.CANT_GIVE else f"{kind.name} {c['input_num_entries']} {who}"
    if c.opcode == Opcode.QUERY_PAGES:
        return f"{name}({QueryPages(c.op_mod).name.lower()}) {_function(w, c)}"
    if is_vport_command(c) and "function_id" in c.fields:
        return f"{name} function {c['function_id']:#x}"
    return name


def is_vport_command(c: Command) -> bool:
    """A command of the e-switch about a function other than the driver's own."""
    if c.opcode == Opcode.QUERY_HCA_CAP:
        return bool(c["other_function"])
    if c.opcode in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA):
        return bool(c["function_id"])
    return c.opcode in (Opcode.ALLOC_SF, Opcode.DEALLOC_SF)


def _function(w: World, c: Command) -> str:
    """The function that the driver means, by name and by the fields of the command."""
    name = w.function_of(c, w.view.mode)
    return f"{name} ({c['function_id']:#x}{'/ec' if c['embedded_cpu_function'] else ''})"


def answer_words(a: Answer) -> str:
    """An answer: its command, and its status or the pages that it is about."""
    name = opcode_name(a.opcode)
    if not a.ok:
        return f"{name}: {status_words(a.status)}"
    if a.opcode == Opcode.MANAGE_PAGES and a.pas.size:
        return f"{name}: OK, {many(a.pas.size)} returned"
    if a.opcode == Opcode.QUERY_PAGES:
        return f"{name}: {a['num_pages']} for function {a['function_id']:#x}"
    return f"{name}: OK"


def request_words(w: World, r: PageRequest) -> str:
    """A page request: the function as firmware names it, and how many pages it asks for or returns."""
    who = w.name(r.event.function(w.firmware.mode))
    stale = "" if r.session == w.session else f" of session {r.session}"
    if r.event.release_all:
        return f"page request{stale}: release_all {who}"
    return f"page request{stale}: {who} {r.event.num_pages:+}"
