"""Both sides through the same random operations, compared after each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from random import Random

from fwpages.device import ResetFunction, Want
from fwpages.link.inprocess import StuckError
from fwpages.prm.identity import Identity, Mode
from fwpages.prm.opcodes import ManagePages
from fwpages.prm.status import Status
from tests.linux.devices import Machine, machine
from tests.linux.linuxside import Linux, Look, Said
from tests.linux.ourside import Ours
from tests.linux.peer import ALLOC_PAGE, DMA_MAP, Peer

REFUSALS = (Status.BAD_RES_STATE, Status.LIM_ERR, Status.NO_RES_ERR, Status.RES_BUSY, Status.INTERNAL_ERR)
#: pages of one function at most, so that a disabled one returns them in one command; the supplier itself has more
MOST, PLENTY = 700, 2_500


class DifferenceError(AssertionError):
    """The two sides did not do the same."""


@dataclass(frozen=True)
class Op:
    """One operation. ``changes``: function and pages, more than one to come at once; ``how``: what goes wrong."""

    kind: str
    changes: tuple[tuple[str, int], ...] = ()
    how: str = ""
    detail: int = 0

    @property
    def name(self) -> str:
        """The only function that it is about."""
        return self.changes[0][0]

    @property
    def wants(self) -> tuple[Want, ...]:
        return tuple(Want(name, pages) for name, pages in self.changes)

    def __str__(self) -> str:
        about = " ".join(f"{name}{pages:+}" if pages else name for name, pages in self.changes)
        return " ".join(x for x in (self.kind, about, self.how, str(self.detail or "")) if x)


class Pair:
    """The two sides of one run."""

    def __init__(self, peer: Peer, m: Machine) -> None:
        self.machine = m
        self.linux = Linux(peer, m)
        self.ours = Ours(m)
        self.up = False

    def may(self, op: Op) -> bool:
        """The operation makes sense now: of a list that was cut shorter, some do not any more."""
        if op.kind == "open":
            return not self.up
        if op.kind == "enable":
            # pages that Linux counted for no type stay so: differences-from-linux.md, "Late types"
            return self.up and op.name not in self.linux.enabled and not self.linux.untyped(op.name)
        return self.up and (op.kind != "disable" or op.name in self.linux.enabled)

    def do(self, op: Op) -> None:
        """Both do it, Linux first."""
        getattr(self, f"_{op.kind}")(op)
        for side in (self.linux, self.ours):
            side.firmware.refuse = None

    def _open(self, op: Op) -> None:
        if op.how == "refused":
            self._refuse(ManagePages.GIVE, op.detail, Status.NO_RES_ERR)
        elif op.how == "no memory":
            self.linux.oracle.inject(op.detail, 0, 1)
            self.ours.memory.deny = True
        opened = self.linux.open(), self.ours.open()
        self.ours.memory.deny = False
        if opened[0] != opened[1]:
            raise DifferenceError(f"Linux {'opened' if opened[0] else 'failed to open'}, ours did not do the same")
        self.up = opened[0]

    def _close(self, _: Op) -> None:
        self.linux.enabled.sort(key=lambda n: self.machine.spec(n).vport)
        self.linux.close()
        self.ours.close()
        self.up = False

    def _enable(self, op: Op) -> None:
        self.linux.enable(op.name)
        self.ours.enable(op.name)

    def _disable(self, op: Op) -> None:
        self.linux.disable(op.name)
        self.ours.disable(op.name)

    def _reset(self, op: Op) -> None:
        self.linux.stir(ResetFunction(op.name))
        self.ours.stir(ResetFunction(op.name))

    def _want(self, op: Op) -> None:
        if op.how == "refused":
            kind = ManagePages.GIVE if op.changes[0][1] > 0 else ManagePages.TAKE
            self._refuse(kind, 0, Status(op.detail))
        if op.how == "no memory":
            self.linux.oracle.inject(op.detail, 0, 1)
            self.linux.stir(*op.wants)
            self.ours.without_memory(*op.wants)
        else:
            self.linux.stir(*op.wants)
            self.ours.stir(*op.wants)

    def _refuse(self, kind: ManagePages, after: int, status: Status) -> None:
        self.linux.firmware.refuse = self.ours.firmware.refuse = (kind, after, status)

    # -- comparing ----------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Raises DifferenceError where the two do not say the same; each side must agree with its own firmware."""
        theirs, mine = by_function(self.linux.page_commands()), by_function(self.ours.page_commands())
        for who in theirs.keys() | mine.keys():
            a, b = theirs.get(who, []), mine.get(who, [])
            if a != b:
                raise DifferenceError(f"commands for {who}: Linux {words(a)}; ours {words(b)}")
        self._looks(self.linux.look(), self.ours.look())

    @staticmethod
    def _looks(theirs: Look, mine: Look) -> None:
        for f in fields(Look):
            a, b = getattr(theirs, f.name), getattr(mine, f.name)
            if a != b:
                raise DifferenceError(f"{f.name}: Linux {_show(a)}; ours {_show(b)}")


def _show(x: object) -> str:
    return "{" + ", ".join(f"{k}: {v}" for k, v in x.items()) + "}" if isinstance(x, dict) else str(x)


def by_function(sent: Sequence[tuple[Identity, Said]]) -> dict[Identity, list[Said]]:
    """The page commands by the function that they are about, in order."""
    out: dict[Identity, list[Said]] = {}
    for who, what in sent:
        out.setdefault(who, []).append(what)
    return out


def words(sent: Sequence[Said]) -> str:
    """Page commands to read."""
    names = {-1: "QUERY boot", -2: "QUERY init", 0: "CANT_GIVE", 1: "GIVE", 2: "TAKE"}
    each = [(names[op] + (f" {n}" if op > 0 else ""), len(list(same))) for (op, n), same in groupby(sent)]
    return ", ".join(word + (f" ({times} times)" if times > 1 else "") for word, times in each) or "nothing"


# -- choosing ---------------------------------------------------------------------------------------------------------


class Chooser:
    """Operations by chance, each of which makes sense where the pair is then."""

    def __init__(self, pair: Pair, seed: int) -> None:
        self.pair = pair
        self.random = Random(seed)
        self.names = ["self", *(f.name for f in pair.machine.functions)]

    def next(self) -> Op:
        while True:
            op = self._any()
            if self.pair.may(op):
                return op

    def _any(self) -> Op:
        r = self.random
        if not self.pair.up:
            how = r.choices(("", "refused", "no memory"), (8, 1, 1))[0]
            detail = {"": 0, "refused": r.randrange(2), "no memory": r.choice((ALLOC_PAGE, DMA_MAP))}[how]
            return Op("open", (), how, detail)
        kind = r.choices(("want", "burst", "enable", "disable", "reset", "close"), (50, 15, 12, 8, 8, 1.5))[0]
        if kind == "close":
            return Op("close")
        if kind in ("enable", "disable", "reset"):
            return Op(kind, ((r.choice(self.names[1:]), 0),))
        if kind == "burst":
            return Op("want", self._changes(r.randint(2, 6)))
        (change,) = self._changes(1)
        how = r.choices(("", "refused", "no memory"), (8, 1, 1 if change[1] > 0 else 0))[0]
        detail = {"": 0, "refused": r.choice(REFUSALS), "no memory": r.choice((ALLOC_PAGE, DMA_MAP))}[how]
        return Op("want", (change,), how, int(detail))

    def _changes(self, n: int) -> tuple[tuple[str, int], ...]:
        r, out = self.random, []
        held = {name: self.pair.linux.firmware.held(name) for name in self.names}
        for _ in range(n):
            name = r.choice(self.names)
            pages = r.choice((1, 2, r.randint(1, 60), r.randint(1, 60), r.randint(1, MOST)))
            room = (PLENTY if name == "self" else MOST) - held[name]
            if pages > room or r.random() < 0.4:
                out.append((name, -pages))
            else:
                out.append((name, pages))
                held[name] += pages
        return tuple(out)


# -- running ----------------------------------------------------------------------------------------------------------


def _step(pair: Pair, op: Op) -> None:
    try:
        pair.do(op)
    except StuckError as e:
        raise DifferenceError(f"Linux comes to rest, ours does not: {e}") from None
    pair.compare()


def replay(peer: Peer, m: Machine, ops: Sequence[Op]) -> str | None:
    """The difference after these operations, None if there is none; those that make no sense are left out."""
    pair = Pair(peer, m)
    try:
        for op in ops:
            if pair.may(op):
                _step(pair, op)
    except AssertionError as e:
        return str(e)
    finally:
        pair.linux.oracle.close()
    return None


def shortest(fails: Callable[[Sequence[Op]], bool], ops: Sequence[Op], tries: int = 300) -> list[Op]:
    """Fewer operations that still fail: ever smaller pieces are left out where it fails without them too."""
    left, size = list(ops), max(1, len(ops) // 2)
    while tries > 0:
        at, cut = 0, False
        while at < len(left) and tries > 0:
            fewer = left[:at] + left[at + size :]
            tries -= 1
            if fewer and fails(fewer):
                left, cut = fewer, True
            else:
                at += size
        if size == 1 and not cut:
            break
        size = max(1, size // 2)
    return left


def run(peer: Peer, mode: Mode, *, ecpf: bool, seed: int, ops: int, shrink: bool = True, own: bool = True) -> int:
    """So many random operations, closed at the end; raises DifferenceError with the fewest that show the difference.

    Returns how many page commands were compared. ``own``: our own invariants are looked at too.
    """
    m = machine(mode, ecpf=ecpf, seed=seed)
    pair = Pair(peer, m)
    choose, done, commands = Chooser(pair, seed), [], 0
    try:
        for n in range(ops + 1):
            op = Op("close") if n == ops and pair.up else choose.next()
            done.append(op)
            _step(pair, op)
            if own and (n % 8 == 0 or op.kind == "close"):
                pair.ours.agree()
        commands = len(pair.linux.raw)
    except AssertionError as e:
        less = done
        if shrink:
            less = shortest(lambda some: replay(peer, m, some) is not None, done)
        raise DifferenceError(
            f"mode {mode}, ecpf {ecpf}, seed {seed}, operation {len(done)}: {e}\n"
            f"the shortest path there has {len(less)}: {'; '.join(map(str, less))}"
        ) from None
    finally:
        pair.linux.oracle.close()
    return commands
