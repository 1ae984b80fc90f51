"""One play of a row: a machine with the row's device boots, its driver is loaded and put to work, and both are watched.

A play judges nothing. It gives every stage its time, takes readings of both sides when the driver has come to rest, and
ends the machine, whatever happens. What stops it otherwise than by the driver is told in ``Seen.stopped``.
"""

from __future__ import annotations

import errno
import shutil
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fwpages.link.vfio_user.listener import SocketError
from fwpages.report.serve import serve_report
from fwpages.scenario.format import ScenarioError
from fwpages.trial.device_path import DevicePath
from fwpages.trial.devices import scenario
from fwpages.trial.driving import Driving
from fwpages.trial.effects import NotJudged
from fwpages.trial.errors import GuestTimeoutError, MachineOffError, MissingError
from fwpages.trial.guest import FLOODED, Guest, ended
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import Accelerator, Machine
from fwpages.trial.record import MOST_TEXT, HungError, Record, StoppedError
from fwpages.trial.rows import Row, Supplier
from fwpages.trial.seen import Halt, Outcome, Seen, Stage

#: additions to the kernel's command line: SLUB looks at red zones, poison, freeing and users of objects, a cache has
#: its own name, a task that hangs is told after 20 s, and a kernel that complains goes on, so that the rest shows
APPEND: Final = (
    "slab_debug=FZPU slab_nomerge kasan_multi_shot kmemleak=on sysctl.kernel.hung_task_timeout_secs=20 "
    "sysctl.kernel.panic_on_oops=0 sysctl.kernel.panic_on_warn=0"
)
#: time-outs that the device tells, so that a driver gives up in seconds; Linux adds 5 s of its own to a command's
TIMEOUTS: Final = "command=2,reclaim_pages=2,reclaim_vfs_pages=3"
#: seconds of the machine's time (``clock``) for a boot under emulation: a slower one gets more for every stage, up to
#: so many times as much
USUAL_BOOT: Final = 6.0
MOST_PACE: Final = 3.0
#: bytes of a row's trace: a play without endless commands has 2 MB
MOST_TRACE: Final = 16 << 20
#: bytes that a row needs on the disk
ROOM: Final = 64 << 20
#: seconds for a machine that is told to power off
POWER_OFF: Final = 15.0
#: the words of a panic
_PANIC: Final = "Kernel panic - not syncing"


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """The machine of a play (memory in MiB), and the seconds of each stage.

    ``append`` goes to the kernel's command line.
    """

    memory: int = 1024
    boot_seconds: float = 120.0
    stage_seconds: float = 45.0
    append: str = ""
    accelerator: Accelerator = Accelerator.TCG


def play(
    row: Row, kernel: Kernel, folder: Path, options: PlayOptions | None = None, path: DevicePath | None = None
) -> Seen:
    """Play the row on this kernel in this folder, and return what it showed; with ``path`` on its device, along it.

    Nothing but KeyboardInterrupt is raised. The value can be pickled; several plays may run at once, each in a process
    and a folder of its own.
    """
    record = Record(row, kernel.name)
    try:
        _Play(record, kernel, folder, options or PlayOptions(), path).run()
    except KeyboardInterrupt:
        raise
    except StoppedError as e:
        record.stop(e.reason, e.why)
    except (MissingError, SocketError, ScenarioError) as e:
        record.stop(NotJudged.NOT_PLAYED, str(e))
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        record.stop(NotJudged.DISK_FULL if full else NotJudged.NOT_PLAYED, str(e))
    except Exception:  # a bug of ours is no verdict on a driver, nor the end of a campaign
        record.stop(NotJudged.OUR_BUG, traceback.format_exc(limit=-5))
    return record.seen()


@dataclass(frozen=True, slots=True)
class _Play:
    """A play from the folder to the end of its machine, noted in ``record``."""

    record: Record
    kernel: Kernel
    folder: Path
    options: PlayOptions
    path: DevicePath | None = None

    def run(self) -> None:
        """Serve the device, and start a machine with it."""
        row = self.record.row
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < ROOM:
            words = f"{free >> 20} MiB are free at {self.folder}, and a row needs {ROOM >> 20} MiB"
            raise StoppedError(NotJudged.DISK_FULL, words)
        lab = Lab(
            scenario(row) if self.path is None else self.path.scenario,
            self.folder,
            faults=() if row.fault is None else (row.fault,),
            sriov=row.supplier is Supplier.PF if self.path is None else bool(self.path.scenario.function),
            timeouts=TIMEOUTS,
            most_trace=MOST_TRACE,
        )
        with lab:
            try:
                self._with_machine(lab)
            finally:
                if lab.failure is not None:
                    raise lab.failure
                self.record.served = lab.call(lambda: serve_report(lab.serving, scenario=str(row)))

    def _with_machine(self, lab: Lab) -> None:
        append = f"{APPEND} {self.options.append}".strip()
        machine = Machine(self.options.memory, strict_iommu=True, append=append, accelerator=self.options.accelerator)
        try:
            guest = lab.start(self.kernel, machine)
        except MachineOffError as e:
            self.record.halt = Halt.DIED
            raise StoppedError(NotJudged.MACHINE_DIED, str(e)) from None
        with guest:
            try:
                self._boot(guest)
                driving = Driving(self.record, lab, guest, self.options.stage_seconds)
                driving.stages() if self.path is None else driving.follow(self.path)
            except (MachineOffError, HungError):
                pass  # the stage in which it came, and the end of the machine, say so
            finally:
                self._end(guest)
        # the session of a machine that is gone is over when the device has noticed
        with suppress(GuestTimeoutError):
            lab.wait(lambda: not lab.server.busy, POWER_OFF)

    def _boot(self, guest: Guest) -> None:
        begun = guest.clock.now()
        outcome = Outcome.NOT_ENDED
        try:
            while outcome is not Outcome.DONE:
                with suppress(GuestTimeoutError):
                    self.record.kernel = guest.ready(1.0)
                    outcome = Outcome.DONE
                if outcome is not Outcome.DONE and guest.clock.now() > begun + self.options.boot_seconds:
                    words = f"it took no command within {self.options.boot_seconds:.0f} s of power-on"
                    raise StoppedError(NotJudged.NOT_BOOTED, f"{words}; its last line: {_last(guest.console())}")
        except MachineOffError:
            if guest.process.wait(POWER_OFF) == 0:
                raise StoppedError(NotJudged.NOT_BOOTED, _last(guest.console())) from None
            raise
        finally:
            self.record.note(Stage.BOOT, outcome, guest.clock.now() - begun)
        self.record.pace = min(MOST_PACE, max(1.0, self.record.stages[Stage.BOOT].seconds / USUAL_BOOT))

    def _end(self, guest: Guest) -> None:
        """End the machine, and note how it went and what its kernel said."""
        record, status = self.record, guest.process.poll()
        if status is None:
            record.halt = Halt.OFF if guest.off(POWER_OFF) else Halt.KILLED
        elif guest.killed:
            record.halt = Halt.DIED if guest.flooded else Halt.KILLED
        else:
            record.halt = Halt.PANIC if status == 0 else Halt.DIED
        guest.kill()
        guest.hangs.look()
        record.hangs = guest.hangs.told
        record.console = guest.console().replace("\r\n", "\n")
        if record.halt is Halt.KILLED and _PANIC in record.console:
            record.halt = Halt.PANIC
        if record.halt is Halt.DIED:
            said = guest.qemu_said()[-MOST_TEXT:].strip() or "it said nothing"
            why = FLOODED if guest.flooded else f"QEMU ended with {ended(guest.process.returncode)}: {said}"
            record.stop(NotJudged.MACHINE_DIED, why)


def _last(console: str) -> str:
    """The last line of a console, or that of a panic."""
    rows = [row.strip() for row in console.splitlines() if row.strip()]
    return next((row for row in rows if _PANIC in row), rows[-1] if rows else "the console is empty")
