"""Linux's e-switch as far as pages see it: vports and their vhca_ids, ``state_lock``, the map of types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.startup import checked, run
from fwpages.explore.designs.linux.types import EBUSY, Frame, Reply, Vport
from fwpages.host import VportInfo
from fwpages.prm.capability import read_general
from fwpages.prm.identity import FunctionType
from fwpages.prm.identity import Vport as Number
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Command
from fwpages.prm.opcodes import CapType, Opcode

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux

_T = FunctionType


def changed(d: Linux, infos: tuple[VportInfo, ...]) -> None:
    """The vports that there are; what one learned stays. An SPF and an adjacent VF bring their vhca_id along."""
    known = {}
    for v in infos:
        old = d.vports.get(v.vport)
        known[v.vport] = replace(old, info=v) if old is not None else Vport(v, v.vhca_id)
    d.vports = known


def _next(d: Linux) -> None:
    verb, n = d.asked[0]
    d.asked = d.asked[1:]
    d.start("eswitch", f"{verb} vport {n:#x}", verb, n)


def ask(d: Linux, verb: str, n: int) -> None:
    """One operation at a time: each is under the devlink lock."""
    d.asked = (*d.asked, (verb, n))
    if "eswitch" not in d.running:
        _next(d)


def operate(d: Linux, _: Any, verb: str, n: int) -> Any:
    """Begin, as soon as nobody else has the devlink lock."""
    d.push("vport-op", verb, n)
    return d.lock("devlink")


def vport_op(d: Linux, _: Any, verb: str, n: int) -> Any:
    """The steps of the operation; a device that went down in the meantime ends it."""
    d.push("vport-done", verb, n)
    if not d.up:
        return EBUSY
    frames = _on_order(d, n) if verb == "enable" else _disable_order(d, n)
    for frame in reversed(frames):
        d.push(*_flat(frame))
    return 0


def vport_done(d: Linux, err: int, verb: str, n: int) -> None:
    """The operation has ended; the next one's turn."""
    d.unlock("devlink")
    d.done(f"{verb} vport {n:#x}", ok=not err, detail=f"error {err}" if err else "")
    if d.asked:
        verb, n = d.asked[0]
        d.asked = d.asked[1:]
        d.push("next-op", verb, n)


def next_op(d: Linux, _: Any, verb: str, n: int) -> Any:
    """The thread stays, its operation is another."""
    d.becomes(f"{verb} vport {n:#x}")
    return operate(d, None, verb, n)


def _flat(frame: Frame) -> tuple[Any, ...]:
    return (frame.step, *frame.args)


def _foreign(d: Linux, n: int) -> bool:
    """A VF of the external host: the host's PF driver enables it, and the ECPF's e-switch hears of it afterwards.

    That driver is not modelled; its ENABLE_HCA and DISABLE_HCA are sent here.
    """
    return d.config.supplier.ecpf and d.vports[n].info.type is _T.VF


def _on_order(d: Linux, n: int) -> tuple[Frame, ...]:
    """sriov.c:mlx5_device_enable_sriov and eswitch.c:mlx5_eswitch_enable_pf_vf_vports learn the vhca_id first.

    sf/devlink.c:mlx5_sf_add allocates the SF before it loads its vport.
    """
    first = _foreign(d, n) or d.vports[n].info.type is _T.SF
    hca, vport = Frame("hca-on", (n,)), Frame("vport-on", (n,))
    return (hca, Frame("unless", (*vport,))) if first else (vport, Frame("unless", (*hca,)))


def unless(_d: Linux, err: int, step: str, args: tuple[Any, ...]) -> int:
    """Go on unless there was an error."""
    if not err:
        _d.push(step, *args)
    return err


def _disable_order(d: Linux, n: int) -> tuple[Frame, ...]:
    """sriov.c:mlx5_device_disable_sriov; sf/devlink.c:mlx5_sf_del; ecpf.c:mlx5_ec_cleanup waits at unload only.

    The wait is for a VF on a PF, or an EC VF, and after the last of them.
    """
    kind = d.vports[n].info.type
    hca, vport = Frame("hca-off", (n,)), Frame("vport-off", (n,))
    if kind is _T.SF:
        return vport, hca
    last = not any(v.hca and v.info.type is kind for m, v in d.vports.items() if m != n)
    if last and (kind is _T.EC_VF or (kind is _T.VF and not d.config.supplier.ecpf)):
        return hca, vport, Frame("wait-pages", (str(kind),))
    return hca, vport


def off_order(d: Linux) -> list[tuple[Any, ...]]:
    """What an unload does with all vports: eswitch.c:mlx5_eswitch_disable (SFs, SPFs, VFs, EC VFs, host PF), then
    sriov.c:mlx5_sriov_detach (its VFs from the last to the first, and the wait), then ecpf.c:mlx5_ec_cleanup.
    """
    ecpf = d.config.supplier.ecpf
    by = {k: sorted(n for n, v in d.vports.items() if v.info.type is k and (v.enabled or v.hca)) for k in _T}
    rows: list[tuple[Any, ...]] = []
    for n in by[_T.SF]:
        rows += [("vport-off", n), ("hca-off", n)]
    for n in by[_T.SPF]:
        rows += [("hca-off", n), ("vport-off", n)]
    if ecpf:
        rows += [("hca-off", n) for n in reversed(by[_T.VF])]
    rows += [("vport-off", n) for n in (*by[_T.VF], *by[_T.EC_VF])]
    for n in (*by[_T.HOST_PF], *by[_T.UNKNOWN], *by[_T.SELF]):
        rows += [("hca-off", n), ("vport-off", n)]
    rows += [("hca-off", n) for n in reversed(by[_T.EC_VF if ecpf else _T.VF])]
    rows.append(("wait-pages", str(_T.EC_VF)))
    if not ecpf:
        rows.append(("wait-pages", str(_T.VF)))
    else:
        kinds = (_T.HOST_PF, _T.SPF, _T.VF) if d.choices.spf else (_T.HOST_PF, _T.VF)
        rows += [("wait-pages", str(k)) for k in kinds]
    return rows


# -- one vport --------------------------------------------------------------------------------------------------------


def vport_on(d: Linux, _: Any, n: int) -> Any:
    """mlx5_esw_vport_enable: from here to its end under ``state_lock``, a command included."""
    d.push("vport-query", n)
    return d.lock("state_lock")


def vport_query(d: Linux, _: Any, n: int) -> Any:
    """mlx5_esw_vport_caps_get: the *max* capabilities of the other function; not of the manager's own vport."""
    info = d.vports[n].info
    d.push("vport-learned", n)
    if _manager(d, n) or not d.caps.get("vport_group_manager"):
        return None
    known = d.vports[n].vhca_id
    fields = {"other_function": 1, "ec_vf_function": int(info.type is _T.EC_VF), "function_id": info.function_id}
    if info.vhca_id is not None and known is not None:
        # vport.c:mlx5_vport_use_vhca_id_as_func_id (assumed for those that FUNC_ID has no name for)
        fields = {"other_function": 1, "function_id_type": 1, "function_id": known}
    return d.command(Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1, fields))


def _manager(d: Linux, n: int) -> bool:
    """mlx5_esw_is_manager_vport: the ECPF's vport on an ECPF, vport 0 on a PF."""
    return n == (Number.ECPF if d.config.supplier.ecpf else Number.HOST_PF)


def vport_learned(d: Linux, reply: Reply | None, n: int) -> int:
    """The vhca_id is in the vport's table, and in merged's map of types unless somebody else is there."""
    err = 0
    if reply is not None:
        err = checked(d, reply, Opcode.QUERY_HCA_CAP, "")
        if not err and reply.answer is not None:
            try:
                number = read_general(reply.answer.data)["vhca_id"]
            except LayoutError:
                number = 0
            d.vports[n] = replace(d.vports[n], vhca_id=number)
            err = 0 if d.choices.walks else _map_type(d, n, number)
    if not err:
        d.vports[n] = replace(d.vports[n], enabled=True)
    d.unlock("state_lock")
    return err


def _map_type(d: Linux, n: int, number: int) -> int:
    if number in d.types and not d.config.keeps_vhca_id:
        return EBUSY
    d.types[number] = tree.vport_type(d, n)
    return 0


def vport_off(d: Linux, _: Any, n: int) -> Any:
    """mlx5_esw_vport_disable."""
    d.push("vport-gone", n)
    return d.lock("state_lock")


def vport_gone(d: Linux, _: Any, n: int) -> int:
    """The type is forgotten (merged), the vhca_id in the vport's table is not."""
    v = d.vports[n]
    keeps = d.config.keeps_vhca_id
    if v.enabled and v.vhca_id is not None and not _manager(d, n) and not keeps:
        d.types.pop(v.vhca_id, None)
    d.vports[n] = replace(v, enabled=False, vhca_id=v.info.vhca_id if keeps is False else v.vhca_id)
    d.unlock("state_lock")
    return 0


def _switch(d: Linux, n: int, pci: Opcode, sf: Opcode) -> Command:
    info = d.vports[n].info
    if info.type is _T.SF:
        return Command(sf, fields={"function_id": info.function_id})
    if info.vhca_id is not None:
        return Command(pci, fields={"function_id": info.vhca_id, "function_id_type": 1})
    return Command(pci, fields=info.identity.fields)


def hca_on(d: Linux, _: Any, n: int) -> Any:
    """mlx5_core_enable_hca, ecpf.c:mlx5_cmd_pf_enable_hca, sf/cmd.c:mlx5_cmd_alloc_sf."""
    d.push("hca-switched", n, True)
    return run(d, _switch(d, n, Opcode.ENABLE_HCA, Opcode.ALLOC_SF))


def hca_off(d: Linux, _: Any, n: int) -> Any:
    """mlx5_core_disable_hca and its like; a function that was never enabled is skipped."""
    if not d.vports[n].hca:
        return 0
    d.push("hca-switched", n, False)
    return run(d, _switch(d, n, Opcode.DISABLE_HCA, Opcode.DEALLOC_SF))


def hca_switched(d: Linux, err: int, n: int, on: bool) -> int:
    """An error of disabling is logged, and the rest goes on; the function counts as enabled then."""
    if not err:
        d.vports[n] = replace(d.vports[n], hca=on)
    return err


STEPS: dict[str, Callable[..., Any]] = {
    "enable": lambda d, v, n: operate(d, v, "enable", n),
    "disable": lambda d, v, n: operate(d, v, "disable", n),
    "vport-op": vport_op,
    "vport-done": vport_done,
    "next-op": next_op,
    "unless": unless,
    "vport-on": vport_on,
    "vport-query": vport_query,
    "vport-learned": vport_learned,
    "vport-off": vport_off,
    "vport-gone": vport_gone,
    "hca-on": hca_on,
    "hca-off": hca_off,
    "hca-switched": hca_switched,
}
