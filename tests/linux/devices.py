"""Small devices with random figures: the same for both sides of a run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec

from fwpages.device import FunctionSpec, Profile, profile
from fwpages.host import VportInfo
from fwpages.prm.identity import FunctionType, Mode

T = FunctionType
SF_BASE = 0x200


@dataclass(frozen=True)
class Machine:
    """A device and what its supplier may do with it. ``functions`` leaves out the supplier itself."""

    mode: Mode
    profile: Profile
    functions: tuple[FunctionSpec, ...]

    @property
    def vports(self) -> tuple[VportInfo, ...]:
        """The functions as the e-switch knows them; the vhca_id of an SPF is known beforehand."""
        return tuple(
            VportInfo(f.vport, f.type, f.function_id, f.ec, f.vhca_id if f.type is T.SPF else None)
            for f in self.functions
        )

    def spec(self, name: str) -> FunctionSpec:
        return next(f for f in self.functions if f.name == name)


def _numbers(kind: T, index: int, *, ecpf: bool) -> tuple[int, int, bool]:
    """vport, function_id and ec bit of the index-th function of its type."""
    match kind:
        case T.VF:
            return 1 + index, 1 + index, False
        case T.EC_VF:
            return 0x1000 + index, 1 + index, True
        case T.SF:
            return SF_BASE + index, SF_BASE + index, ecpf
        case T.SPF:
            return 0x2000 + index, 0x2000 + index, False
        case _:
            return 0, 0, False


def machine(mode: Mode, *, ecpf: bool, seed: int = 0) -> Machine:
    """A device of this kind; ``seed`` decides on everything else."""
    r = Random(seed)
    rooms = {T.VF: r.choice((4, 6, 8)), T.SF: 6}
    if ecpf:
        rooms |= {T.EC_VF: r.choice((0, 6, 12))} | ({T.SPF: 2} if mode is Mode.VHCA_ID else {})
    places = [(kind, index) for kind, room in rooms.items() for index in range(room)]
    chosen = sorted(r.sample(places, r.randint(4, 7)))
    if ecpf:
        chosen.append((T.HOST_PF, 0))
    own, *numbers = r.sample([0, 1, 2, 0x2A, 0x8000, 0xFFFF, *range(0x30, 0x80)], 1 + len(chosen))
    base = profile("bluefield3" if ecpf else "connectx7")
    most = {**base.max, "release_all_pages": int(r.random() < 0.7)}
    small = msgspec.structs.replace(
        base,
        name="small",
        boot_pages=r.randint(1, 9),
        init_pages=r.choice((0, 1, 40)),
        vhca_id=own,
        max_vfs=rooms[T.VF],
        max_ec_vfs=rooms.get(T.EC_VF, 0),
        sf_base_id=SF_BASE,
        max_sf=16,
        take_limit=r.choice((25, 50_000)),
        order=r.choice(("lifo", "fifo", "shuffled")),
        seed=seed,
        max=most,
        current={k: min(v, most[k]) for k, v in base.current.items()},
    )
    functions = tuple(
        FunctionSpec(f"{kind}{index}", kind, *_numbers(kind, index, ecpf=ecpf), number, r.choice((0, 5, 30)))
        for (kind, index), number in zip(chosen, numbers, strict=True)
    )
    return Machine(mode, small, functions)


def plain(mode: Mode = Mode.VHCA_ID, *, ecpf: bool = False) -> Machine:
    """A device without chance: two VFs, an SF, on an embedded CPU an EC VF; release_all; 4 boot and 6 init pages."""
    base = profile("bluefield3" if ecpf else "connectx7")
    small = msgspec.structs.replace(base, name="plain", boot_pages=4, init_pages=6, vhca_id=0x2A, sf_base_id=SF_BASE)
    places = [(T.VF, 0), (T.VF, 1), (T.SF, 0), *([(T.EC_VF, 0)] if ecpf else [])]
    functions = tuple(
        FunctionSpec(f"{kind}{index}", kind, *_numbers(kind, index, ecpf=ecpf), 0x31 + n)
        for n, (kind, index) in enumerate(places)
    )
    return Machine(mode, small, functions)
