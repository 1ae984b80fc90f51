"""A path of the explorer on a kernel: played, judged, and compared with the driver's own way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

import msgspec

from fwpages.prm.layout import LayoutError
from fwpages.prm.message import decode_command
from fwpages.readers.inputs import Source, open_source
from fwpages.readers.observations import CommandSubmitted
from fwpages.readers.trace import TraceReader
from fwpages.report.width import fold
from fwpages.trial.device_path import DevicePath, Sent, parting, sent
from fwpages.trial.effects import Effect
from fwpages.trial.folders import write_play
from fwpages.trial.judge import judge
from fwpages.trial.judged import Judged
from fwpages.trial.kernel import Kernel
from fwpages.trial.play import PlayOptions, play
from fwpages.trial.rows import Row
from fwpages.trial.versions import compiler_of

#: columns of the text, as kernel lists quote it
_WIDTH: Final = 72


@unique
class Way(Enum):
    """The driver's way, compared with the path's."""

    SAME = "same"
    ANOTHER = "another"
    UNKNOWN = "unknown"


class ReplayedPath(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The output of ``trial --replay --json``; ``docs/reference/trial-json.md`` describes it.

    ``parted`` says where the driver left the path, ``undecided`` why a device cannot play it; ``path_ends`` what does
    not hold at the path's end in the model. ``chance`` says what no device decides in it.
    """

    schema_: str = "trial-replay/1"
    replay: str
    world: str = ""
    design: str = ""
    kernel: str = ""
    way: Way
    parted: str = ""
    undecided: str = ""
    commands: list[str] = []
    fault: str = ""
    path_ends: list[str] = []
    chance: list[str] = []
    effect: str = ""
    effects: list[str] = []
    on_purpose: list[str] = []
    unseen: list[str] = []
    not_judged: str = ""

    @property
    def exit_code(self) -> int:
        """1: an effect was seen, or the driver went the path to a violation; 4: not known; 0: neither."""
        if self.effects or (self.way is Way.SAME and self.path_ends):
            return 1
        return 4 if self.way is Way.UNKNOWN or self.not_judged else 0


@dataclass(frozen=True, slots=True)
class Replay:
    """A path on a kernel, whose machine has these options. ``tree``: the kernel's source, where there is one."""

    path: DevicePath
    kernel: Kernel
    options: PlayOptions
    tree: Path | None = None

    def run(self, folder: Path) -> ReplayedPath:
        """Play the path once, in this folder. Raises OSError where its files cannot be written."""
        seen = play(Row(self.path.fault, trouble=self.path.trouble), self.kernel, folder, self.options, self.path)
        judged = judge(seen)
        write_play(folder, seen, self.tree)
        did = tuple(_commands(folder / "trace.jsonl"))
        version, _ = compiler_of(seen.console)
        return compared(self.path, did, judged, version or seen.kernel)


def undecided(text: str, why: str) -> ReplayedPath:
    """The result for a path that a device cannot play."""
    return ReplayedPath(replay=text, way=Way.UNKNOWN, undecided=why)


def compared(path: DevicePath, did: tuple[Sent, ...], judged: Judged, kernel: str) -> ReplayedPath:
    """The result of a play in which the driver sent these commands."""
    known = judged.not_judged is None or bool(judged.effects)
    parted = parting(path.expected, did)
    way = Way.UNKNOWN if not known else Way.SAME if parted is None else Way.ANOTHER
    return ReplayedPath(
        replay=path.replay,
        world=path.world,
        design=path.design,
        kernel=kernel,
        way=way,
        parted=str(parted) if way is Way.ANOTHER else "",
        commands=[str(c) for c in did[: len(path.expected)]],
        fault="" if path.fault is None else Row(path.fault).label,
        path_ends=list(path.broken),
        chance=list(path.chance),
        effect=Effect.NONE.value if judged.effect is None else judged.effect.value,
        effects=[f"{e.effect.value}: {e.detail}" for e in judged.effects],
        on_purpose=list(judged.on_purpose),
        unseen=list(judged.unseen),
        not_judged="" if judged.not_judged is None else f"{judged.not_judged.value}: {judged.why}",
    )


def _commands(trace: Path) -> Iterator[Sent]:
    """The commands of a trace by which a driver is compared."""
    if not trace.is_file():
        return
    with closing(open_source(trace)) as source:
        yield from _sent(source)


def _sent(source: Source) -> Iterator[Sent]:
    for x in TraceReader(source).read():
        if isinstance(x, CommandSubmitted):
            try:
                known = sent(decode_command(x.message))
            except LayoutError:  # too short for what it says it is: none of the path's
                continue
            if known is not None:
                yield known


_WAYS = {
    Way.SAME: "The driver went the same way, to the end of the path.",
    Way.ANOTHER: "The driver went another way.",
    Way.UNKNOWN: "Not known whether the driver goes the same way.",
}


def plain(r: ReplayedPath) -> str:
    """The result as text of at most 72 columns."""
    lines = [_WAYS[r.way]]
    rows = [
        ("at", [r.parted]),
        ("a device cannot decide the path", [r.undecided]),
        ("not judged", [r.not_judged]),
        ("kernel", [r.kernel]),
        ("path", [f"world {r.world}, design {r.design}, {r.replay}" if r.world else r.replay]),
        ("the device, on purpose", r.on_purpose),
        ("the path ends in", r.path_ends),
        ("seen on the kernel", r.effects or ([r.effect] if r.world and not r.not_judged else [])),
        ("left to chance", r.chance),
        ("not looked at", r.unseen),
    ]
    lines += [f"  {name}: {words}" for name, every in rows for words in every if words]
    if r.world:
        lines.append("  On an emulated device. We have not seen hardware do this.")
    return "".join(f"{fold(line, _WIDTH, 4)}\n" for line in lines)
