"""Linux's e-switch as far as pages see it: vports and their vhca_ids, ``state_lock``, the map of types.

Theory of operation. Enabling a vport has two halves in an order that depends on its kind: the function is switched on
(ENABLE_HCA, or ALLOC_SF), and the e-switch learns the function's vhca_id by a query of its capabilities. The page path
meets both: as soon as the function is on, firmware may ask for its pages, and until the e-switch has the vhca_id
nothing says which type they are. The query runs under ``state_lock``, its command included; ``posted`` takes that lock
to look up a type. ``merged`` keeps a map of types without a lock, from the end of mlx5_esw_vport_enable to
mlx5_esw_vport_disable.

Operations run one after the other on one thread, each under the devlink lock. An operation is a list of frames that are
pushed in reverse; an error of one is the result of the last, as Linux only logs those before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.cmd import checked, execute
from fwpages.explore.designs.linux.errors import EBUSY
from fwpages.explore.designs.linux.reclaim import WaitPages
from fwpages.explore.designs.linux.state import Vport
from fwpages.explore.designs.linux.threads import Frame, Kernel, Outcome, Reply, ReplyFrame
from fwpages.host import VportInfo
from fwpages.host.io import Operation, OperationKind
from fwpages.prm.capability import read_general
from fwpages.prm.identity import FunctionType
from fwpages.prm.identity import Vport as Number
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, Opcode

_T = FunctionType


def changed(kernel: Kernel, infos: tuple[VportInfo, ...]) -> None:
    """These are the vports now; what was learned of one stays. An SPF and an adjacent VF bring their vhca_id along."""
    known = {}
    for info in infos:
        old = kernel.vports.get(info.vport)
        known[info.vport] = replace(old, info=info) if old is not None else Vport(info, info.vhca_id)
    kernel.vports = known


# -- operations -------------------------------------------------------------------------------------------------------


def ask(kernel: Kernel, operation: Operation) -> None:
    """One operation at a time: each is under the devlink lock."""
    if "eswitch" in kernel.running:
        kernel.asked = (*kernel.asked, operation)
    else:
        kernel.start("eswitch", operation, Begin(operation))


@dataclass(frozen=True, slots=True)
class Begin(Frame):
    """An operation on a vport begins."""

    operation: Operation

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """As soon as no other thread has the devlink lock."""
        return _begin(kernel, self.operation)


def _begin(kernel: Kernel, operation: Operation) -> Outcome:
    kernel.push(Locked(operation))
    return kernel.lock("devlink")


@dataclass(frozen=True, slots=True)
class Locked(Frame):
    """An operation under the devlink lock."""

    operation: Operation

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Its frames in order; if the device went down in the meantime, it fails."""
        kernel.push(Ended(self.operation))
        if not kernel.up:
            return EBUSY
        n = self.operation.vport
        assert n is not None
        frames = _enabling(kernel, n) if self.operation.kind is OperationKind.ENABLE else _disabling(kernel, n)
        for frame in reversed(frames):
            kernel.push(frame)
        return 0


@dataclass(frozen=True, slots=True)
class Ended(Frame):
    """An operation has ended; the thread goes on with the next one."""

    operation: Operation

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Report its result."""
        kernel.unlock("devlink")
        kernel.done(self.operation, ok=not result, detail=f"error {result}" if result else "")
        if not kernel.asked:
            return 0
        following, *rest = kernel.asked
        kernel.asked = tuple(rest)
        kernel.becomes(following)
        return _begin(kernel, following)


def _enabling(kernel: Kernel, n: int) -> tuple[Frame, ...]:
    """sriov.c:mlx5_device_enable_sriov and eswitch.c:mlx5_eswitch_enable_pf_vf_vports learn the vhca_id first.

    sf/devlink.c:mlx5_sf_add allocates the SF before it loads its vport.

    The PF driver of an ECPF's external host enables that host's VFs, and the ECPF's e-switch learns of it afterwards.
    That driver is not modelled; its ENABLE_HCA and DISABLE_HCA are sent here.
    """
    kind = kernel.vports[n].info.type
    if kind is _T.SF or (kind is _T.VF and kernel.config.supplier.ecpf):
        return HcaOn(n), Unless(VportOn(n))
    return VportOn(n), Unless(HcaOn(n))


@dataclass(frozen=True, slots=True)
class Unless(Frame):
    """The second half of an operation, left out where the first failed."""

    frame: Frame

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Hand the error on, or call the frame."""
        return result or self.frame.resume(kernel, 0)


def _disabling(kernel: Kernel, n: int) -> tuple[Frame, ...]:
    """sriov.c:mlx5_device_disable_sriov; sf/devlink.c:mlx5_sf_del; ecpf.c:mlx5_ec_cleanup waits at unload only.

    The wait is for a VF on a PF, or an EC VF, and after the last of them.
    """
    kind = kernel.vports[n].info.type
    if kind is _T.SF:
        return VportOff(n), HcaOff(n)
    last = not any(v.hca and v.info.type is kind for m, v in kernel.vports.items() if m != n)
    if last and (kind is _T.EC_VF or (kind is _T.VF and not kernel.config.supplier.ecpf)):
        return HcaOff(n), VportOff(n), WaitPages(str(kind))
    return HcaOff(n), VportOff(n)


def unloading(kernel: Kernel) -> list[Frame]:
    """The frames of an unload for all vports, in order.

    eswitch.c:mlx5_eswitch_disable (SFs, SPFs, VFs, EC VFs, host PF), then sriov.c:mlx5_sriov_detach (its VFs from the
    last to the first, and the wait), then ecpf.c:mlx5_ec_cleanup.
    """
    ecpf = kernel.config.supplier.ecpf
    by: dict[FunctionType, list[int]] = {kind: [] for kind in _T}
    for n, vport in sorted(kernel.vports.items()):
        if vport.enabled or vport.hca:
            by[vport.info.type].append(n)
    frames: list[Frame] = []
    for n in by[_T.SF]:
        frames += [VportOff(n), HcaOff(n)]
    for n in by[_T.SPF]:
        frames += [HcaOff(n), VportOff(n)]
    if ecpf:
        frames += map(HcaOff, reversed(by[_T.VF]))
    frames += map(VportOff, (*by[_T.VF], *by[_T.EC_VF]))
    for n in (*by[_T.HOST_PF], *by[_T.UNKNOWN], *by[_T.SELF]):
        frames += [HcaOff(n), VportOff(n)]
    frames += map(HcaOff, reversed(by[_T.EC_VF if ecpf else _T.VF]))
    return [*frames, *_waits(kernel)]


def _waits(kernel: Kernel) -> list[Frame]:
    """mlx5_sriov_detach waits for the EC VFs, a PF also for its VFs; mlx5_ec_cleanup for the rest."""
    kinds = [_T.EC_VF, _T.VF]
    if kernel.config.supplier.ecpf:
        kinds = [_T.EC_VF, _T.HOST_PF, _T.SPF, _T.VF] if kernel.choices.spf else [_T.EC_VF, _T.HOST_PF, _T.VF]
    return [WaitPages(str(kind)) for kind in kinds]


# -- one vport --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VportOn(Frame):
    """mlx5_esw_vport_enable: from here to its end under ``state_lock``, a command included."""

    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Take the lock."""
        kernel.push(VportQuery(self.n))
        return kernel.lock("state_lock")


@dataclass(frozen=True, slots=True)
class VportQuery(Frame):
    """mlx5_esw_vport_caps_get: the *max* capabilities of the other function; not of the manager's own vport."""

    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Ask for them."""
        n = self.n
        if _manager(kernel, n) or not kernel.caps.get("vport_group_manager"):
            return _vport_enabled(kernel, n, 0)
        info, known = kernel.vports[n].info, kernel.vports[n].vhca_id
        fields = {"other_function": 1, "ec_vf_function": int(info.type is _T.EC_VF), "function_id": info.function_id}
        if info.vhca_id is not None and known is not None:
            # vport.c:mlx5_vport_use_vhca_id_as_func_id (assumed for those that FUNC_ID has no name for)
            fields = {"other_function": 1, "function_id_type": 1, "function_id": known}
        return kernel.command(Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1, fields), VportLearned(n))


def _manager(kernel: Kernel, n: int) -> bool:
    """mlx5_esw_is_manager_vport: the ECPF's vport on an ECPF, vport 0 on a PF."""
    return n == (Number.ECPF if kernel.config.supplier.ecpf else Number.HOST_PF)


@dataclass(frozen=True, slots=True)
class VportLearned(ReplyFrame):
    """The vhca_id is in the vport's table, and in merged's map of types unless another vport has it."""

    n: int

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """Take it over."""
        err = checked(kernel, Opcode.QUERY_HCA_CAP, reply)
        if not err and reply.answer is not None:
            err = _learned(kernel, self.n, reply.answer)
        return _vport_enabled(kernel, self.n, err)


def _learned(kernel: Kernel, n: int, answer: Answer) -> int:
    try:
        number = read_general(answer.data)["vhca_id"]
    except LayoutError:
        number = 0
    kernel.vports[n] = replace(kernel.vports[n], vhca_id=number)
    if kernel.choices.walks:
        return 0
    if number in kernel.types and not kernel.config.keeps_vhca_id:  # xa_insert
        return EBUSY
    kernel.types[number] = tree.vport_type(kernel, n)
    return 0


def _vport_enabled(kernel: Kernel, n: int, err: int) -> int:
    """mlx5_esw_vport_enable's end."""
    if not err:
        kernel.vports[n] = replace(kernel.vports[n], enabled=True)
    kernel.unlock("state_lock")
    return err


@dataclass(frozen=True, slots=True)
class VportOff(Frame):
    """mlx5_esw_vport_disable."""

    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Take the lock."""
        kernel.push(VportGone(self.n))
        return kernel.lock("state_lock")


@dataclass(frozen=True, slots=True)
class VportGone(Frame):
    """mlx5_esw_vport_disable under the lock: forget the type (merged), not the vhca_id in the vport's table."""

    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Forget, and let the lock go."""
        vport, keeps = kernel.vports[self.n], kernel.config.keeps_vhca_id
        if vport.enabled and vport.vhca_id is not None and not _manager(kernel, self.n) and not keeps:
            kernel.types.pop(vport.vhca_id, None)
        known = vport.info.vhca_id if keeps is False else vport.vhca_id
        kernel.vports[self.n] = replace(vport, enabled=False, vhca_id=known)
        kernel.unlock("state_lock")
        return 0


# -- one function -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HcaOn(Frame):
    """mlx5_core_enable_hca, ecpf.c:mlx5_cmd_pf_enable_hca, sf/cmd.c:mlx5_cmd_alloc_sf."""

    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Send the command."""
        kernel.push(HcaSwitched(self.n, on=True))
        return _switch(kernel, self.n, Opcode.ENABLE_HCA, Opcode.ALLOC_SF)


@dataclass(frozen=True, slots=True)
class HcaOff(Frame):
    """mlx5_core_disable_hca and its like; a function that was never enabled is skipped."""

    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Send the command."""
        if not kernel.vports[self.n].hca:
            return 0
        kernel.push(HcaSwitched(self.n, on=False))
        return _switch(kernel, self.n, Opcode.DISABLE_HCA, Opcode.DEALLOC_SF)


def _switch(kernel: Kernel, n: int, pci: Opcode, sf: Opcode) -> Outcome:
    info = kernel.vports[n].info
    if info.type is _T.SF:
        command = Command(sf, fields={"function_id": info.function_id})
    elif info.vhca_id is not None:
        command = Command(pci, fields={"function_id": info.vhca_id, "function_id_type": 1})
    else:
        command = Command(pci, fields=info.identity.fields)
    return execute(kernel, command)


@dataclass(frozen=True, slots=True)
class HcaSwitched(Frame):
    """The function is on or off. An error of disabling is logged, the rest goes on, and it counts as enabled."""

    n: int
    on: bool

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Note it."""
        if not result:
            kernel.vports[self.n] = replace(kernel.vports[self.n], hca=self.on)
        return result
