"""The stages of a play with the driver: load, requests, VFs, unload, a second load and unload.

Each has its time, and each is played as far as the one before lets it. When the driver has come to rest, both sides'
figures are read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from fwpages.device import ResetFunction, Want
from fwpages.trial.device_path import Deed, DevicePath, FailDevice, Load, PathStep, SwitchVfs, Unload
from fwpages.trial.devices import REQUESTS, Part
from fwpages.trial.effects import NotJudged
from fwpages.trial.errors import GuestTimeoutError, MachineOffError
from fwpages.trial.guest import Guest, Said
from fwpages.trial.instruments import instruments
from fwpages.trial.lab import Lab
from fwpages.trial.record import HungError, Record, StoppedError
from fwpages.trial.rows import Supplier, Trouble
from fwpages.trial.seen import Outcome, Reading, Stage

#: seconds for a command that is not answered: 2 of the device, 5 that Linux adds, and some
GIVEN_UP: Final = 9.0
#: seconds for a driver that has shown already that it does not answer
IMPATIENT: Final = 2.0
#: seconds without a command after which the driver is at rest, if it owes no pages
QUIET: Final = 0.4
#: seconds in which a driver at rest has also freed the pages that firmware released
SETTLED: Final = 2.0
#: seconds for a command in the guest that only looks
LOOK: Final = 20.0
#: seconds for which a link is lost that comes back
LOST_FOR: Final = 10.0
#: seconds for a driver to notice that its device fails, and to recover: Linux looks every 2 s, waits up to 10 s for the
#: state to end, and loads anew
RECOVERY: Final = 20.0
#: seconds for a load on a device that does not answer at all: Linux waits 120 s for such firmware to begin
#: (``FW_PRE_INIT_TIMEOUT``), and then gives up
NOT_THERE: Final = 150.0
#: the fatal state that firmware reports (``prm.health``)
_SYNDROME: Final = "syndrome 0x10"
#: VFs that are switched on
VFS: Final = 2
#: seconds between two looks at the device
POLL: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Running:
    """A command that runs in the guest since ``begun`` (seconds of the machine's clock), by its number."""

    stage: Stage
    number: int
    begun: float


@dataclass(slots=True)
class Driving:
    """The driver's stages on this machine, noted in ``record``. ``seconds``: how long a stage may take."""

    record: Record
    lab: Lab
    guest: Guest
    seconds: float
    #: the driver once owed pages for longer than a command may take
    owing: bool = False

    def stages(self) -> None:
        """Play them. StoppedError, HungError or MachineOffError where one is the last that can be played."""
        self._prepare()
        if self._load(Stage.LOAD):
            with self._cut_short(Stage.REQUESTS):
                self._requests()
            if self.record.row.trouble is not None:
                self._trouble(self.record.row.trouble)
            elif self.record.row.supplier is Supplier.PF:
                with self._cut_short(Stage.VFS):
                    self._vfs()
        self._unload(Stage.UNLOAD)
        self._load(Stage.LOAD_AGAIN)
        self._unload(Stage.UNLOAD_AGAIN)
        self._leaks()

    def follow(self, path: DevicePath) -> None:
        """Play a path as its user and its device do, then unload and load once more; errors as ``stages`` has them.

        A step is left out, with all after it, where the driver has not sent the commands that come before it.
        """
        self._prepare()
        running: list[_Running] = []
        for step in path.steps:
            if not self._reached(step):
                break
            if isinstance(step.deed, FailDevice) and not step.at_once:
                # the path is at rest: its load has ended, and a slow machine's may only seem to
                self._finish(running)
            self._do(step.deed, running)
        self._finish(running)
        self._rest()
        if Stage.UNLOAD not in self.record.stages or Stage.LOAD_AGAIN in self.record.stages:
            self._unload(_next(self.record, Stage.UNLOAD, Stage.UNLOAD_AGAIN))
        if Stage.LOAD_AGAIN not in self.record.stages:
            self._load(Stage.LOAD_AGAIN)
            self._unload(Stage.UNLOAD_AGAIN)
        self._leaks()

    def _reached(self, step: PathStep) -> bool:
        """Wait until the driver has sent the commands before this step, and is at rest where the path is."""
        end = self.guest.clock.now() + self.seconds * self.record.pace
        while self.lab.call(lambda: self.lab.compared) < step.after:
            if self.guest.clock.now() > end:
                return False
            self.guest.alive()
            time.sleep(POLL / 5)
        return step.at_once or self._rest()

    def _do(self, deed: Deed, running: list[_Running]) -> None:
        """Do it; a command in the guest goes on meanwhile, as a later step may have to come before its end."""
        match deed:
            case Want() | ResetFunction():
                self.lab.call(lambda: self.lab.serving.device.stir(deed))
            case FailDevice(resets=resets):
                self._trouble(Trouble.FATAL if resets else Trouble.STUCK, resets=resets)
            case Load():
                self._begin(_next(self.record, Stage.LOAD, Stage.LOAD_AGAIN), "load && bound", running)
            case Unload():
                self._begin(_next(self.record, Stage.UNLOAD, Stage.UNLOAD_AGAIN), "unload", running)
            case SwitchVfs():
                self._finish(running)
                self._look("echo 0 >/sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")
                switch = f"echo {deed.number} >/sys/bus/pci/devices/$(address)/sriov_numvfs"
                self._begin(Stage.VFS, switch, running)

    def _begin(self, stage: Stage, command: str, running: list[_Running]) -> None:
        """Start a command in the guest, after the one before has ended."""
        self._finish(running)
        try:
            number = self.guest.aside(command, LOOK * self.record.pace)
        except GuestTimeoutError:
            raise HungError from None
        running.append(_Running(stage, number, self.guest.clock.now()))

    def _finish(self, running: list[_Running]) -> None:
        """Wait for the end of the command that runs, and read both sides. HungError where it does not end."""
        if not running:
            return
        run = running.pop()
        with self._cut_short(run.stage):
            try:
                said = self.guest.ended(run.number, self.seconds * self.record.pace)
            except GuestTimeoutError:
                self._show_blocked()
                raise HungError from None
            outcome = Outcome.REFUSED if said.status else Outcome.DONE
            self.record.note(run.stage, outcome, self._since(run.begun), said.text)
        self._rest()
        self._read(run.stage)

    def _prepare(self) -> None:
        """Read what the running kernel says of itself."""
        self.record.instruments = instruments(self._look("instruments").text)
        self.record.kernel = self._look("cat /proc/version").text.strip() or self.record.kernel
        if not self._look("address").text.strip():
            raise StoppedError(NotJudged.NO_DEVICE, "no function of vendor 0x15b3 is on the guest's PCI bus")

        if self.record.instruments.kmemleak:
            self._aside("forget_leaks")

    def _leaks(self) -> None:
        """Let kmemleak look for objects that the driver has left, where the kernel has it."""
        if self.record.instruments.kmemleak and (said := self._aside("leaks")) is not None:
            self.record.leaks = said.text

    def _load(self, stage: Stage) -> bool:
        """Load the driver; True where it has the device then."""
        outcome = self._command(stage, "load && bound")
        if outcome is Outcome.REFUSED and self._look("[ -e /sys/bus/pci/drivers/mlx5_core ]").status:
            why = self.record.stages[stage].text or "the initramfs has no mlx5_core"
            raise StoppedError(NotJudged.NO_MODULE, why)
        return outcome is Outcome.DONE

    def _unload(self, stage: Stage) -> None:
        self._command(stage, "unload")

    def _requests(self) -> None:
        """Let the functions ask for pages and give them back, part by part."""
        begun, lines = self.guest.clock.now(), []
        rested = True
        for part in REQUESTS[self.record.row.supplier]:
            if rested:
                self._stir(part)
                rested = self._rest()
                lines.append(f"{part}; held then: {_counts(self.lab.held())}")
        self.record.note(
            Stage.REQUESTS, Outcome.DONE if rested else Outcome.NOT_ENDED, self._since(begun), "\n".join(lines)
        )
        if not rested:
            self._show_blocked()
        self._read(Stage.REQUESTS)

    def _trouble(self, trouble: Trouble, *, resets: bool = True) -> None:
        """Take the device away, or let it fail, and give the driver its time to notice and to recover.

        The VFs are left out then: a driver that recovers has switched them off.
        """
        lost = trouble in (Trouble.LINK_LOST, Trouble.LINK_LOST_FOR_GOOD)
        serving = self.lab.serving

        def begin() -> None:
            serving.observer.troubled(serving.device.now, "lost" if lost else "health", trouble.value)
            if lost:
                serving.device.lose()
            else:
                serving.device.fail(_SYNDROME, resets=resets)

        def restore() -> None:
            serving.device.restore()
            serving.observer.back(serving.device.now)

        self.lab.call(begin)
        if trouble is Trouble.LINK_LOST:
            self._pause(LOST_FOR)
            self.lab.call(restore)
        self._pause(RECOVERY)
        self._rest()
        self._read(Stage.REQUESTS)

    def _pause(self, seconds: float) -> None:
        """Let the driver act by itself for so long."""
        end = self.guest.clock.now() + seconds * self.record.pace
        while self.guest.clock.now() < end:
            self.guest.alive()
            time.sleep(POLL)

    def _vfs(self) -> None:
        """Switch VFs on, off, and one of them on and off again."""
        switch = "echo {} >/sys/bus/pci/devices/$(address)/sriov_numvfs"
        begun = self.guest.clock.now()
        self._look("echo 0 >/sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")
        texts: list[str] = []
        outcome = Outcome.DONE
        for n in (VFS, 0, 1, 0):
            said = self._aside(switch.format(n))
            if said is None:
                texts.append(f"{n} VFs: the command does not end")
                self.record.note(Stage.VFS, Outcome.NOT_ENDED, self._since(begun), "\n".join(texts))
                # the driver's lock of the device is taken: an unload would wait for it
                raise HungError
            texts.append(f"{n} VFs: {said.text.strip() or ('refused' if said.status else 'done')}")
            outcome = Outcome.REFUSED if said.status else outcome
            self._rest()
            self._read(Stage.VFS)
        self.record.note(Stage.VFS, outcome, self._since(begun), "\n".join(texts))

    @contextmanager
    def _cut_short(self, stage: Stage) -> Iterator[None]:
        """Note that a stage did not end where its machine did, or takes no more commands."""
        begun = self.guest.clock.now()
        try:
            yield
        except (MachineOffError, HungError):
            if stage not in self.record.stages:
                self.record.note(
                    stage, Outcome.NOT_ENDED, self._since(begun), "the machine went off meanwhile, or stands still"
                )
            raise

    def _since(self, begun: float) -> float:
        """The seconds that the machine has had since then."""
        return self.guest.clock.now() - begun

    # -- one command --------------------------------------------------------------------------------------------------

    def _command(self, stage: Stage, command: str) -> Outcome:
        """Run the stage's command in the guest, and read both sides at rest. HungError where it does not end."""
        begun = self.guest.clock.now()
        try:
            said = self._aside(command)
        except MachineOffError:
            self.record.note(stage, Outcome.NOT_ENDED, self._since(begun), "the machine went off meanwhile")
            raise
        if said is None:
            self.record.note(
                stage, Outcome.NOT_ENDED, self._since(begun), self.guest.said_last().decode("utf-8", "replace")
            )
            raise HungError
        outcome = Outcome.REFUSED if said.status else Outcome.DONE
        self.record.note(stage, outcome, self._since(begun), said.text)
        self._rest()
        self._read(stage)
        return outcome

    def _aside(self, command: str) -> Said | None:
        """Run a command that may hang; None where it does not end in time."""
        try:
            number = self.guest.aside(command, LOOK * self.record.pace)
            return self.guest.ended(number, self._patience())
        except GuestTimeoutError:
            self._show_blocked()
            return None

    def _patience(self) -> float:
        """The seconds of the machine's time that a command may take which may hang."""
        gone = self.record.row.trouble is Trouble.LINK_LOST_FOR_GOOD
        return max(self.seconds * self.record.pace, NOT_THERE if gone else 0.0)

    def _look(self, command: str) -> Said:
        """Run a command that cannot hang, but in a machine that does. HungError there."""
        try:
            return self.guest.run(command, LOOK * self.record.pace)
        except GuestTimeoutError:
            raise HungError from None

    def _show_blocked(self) -> None:
        """Let the kernel log the stacks of blocked tasks, and of those that run."""
        with suppress(HungError):
            self._look("echo w >/proc/sysrq-trigger; echo l >/proc/sysrq-trigger")

    # -- both sides' figures ------------------------------------------------------------------------------------------

    def _stir(self, part: Part) -> None:
        def stir() -> None:
            for event in part.events:
                self.lab.serving.device.stir(event)

        self.lab.call(stir)

    def _rest(self) -> bool:
        """Wait until the driver has come to rest; False where it is still sending commands when its time is over.

        At rest it sends no command, and owes no pages; or it has sent none for longer than it waits for an answer.
        """
        begun = since = self.guest.clock.now()
        commands, owed = self._busy()
        patience = (IMPATIENT if self.owing else GIVEN_UP) * self.record.pace
        while (now := self.guest.clock.now()) < begun + self.seconds * self.record.pace:
            if now - since > (patience if owed else QUIET * self.record.pace):
                self.owing = self.owing or owed
                return True
            self.guest.alive()
            time.sleep(POLL)
            before, (commands, owed) = commands, self._busy()
            if commands != before:
                since = self.guest.clock.now()
        return False

    def _busy(self) -> tuple[int, bool]:
        """The commands so far, and whether pages that the driver was asked for are not there, or a command is out."""

        def read() -> tuple[int, bool]:
            observer = self.lab.serving.observer
            asks = any(observer.inner.asks(spec.name) for spec in observer.inner.specs)
            return observer.commands, asks or observer.commands_out > 0

        return self.lab.call(read)

    def _read(self, stage: Stage) -> None:
        """Read both sides' figures, anew for a while where they differ: a release of all pages is no command, so that
        nothing but the driver's counters shows that it is done.
        """
        end = self.guest.clock.now() + SETTLED * self.record.pace
        while True:
            held, counters = self.lab.held(), self._counters()
            if counters.get("fw_pages_total", 0) == sum(held.values()) or self.guest.clock.now() > end:
                break
            time.sleep(POLL)
        free = self._look("free_memory").text.strip()
        self.record.readings.append(Reading(stage, held, counters, int(free) if free else 0))

    def _counters(self) -> dict[str, int]:
        """The driver's counters by name; a file that goes while it is read leaves a row without its number."""
        rows = [row.split() for row in self._look("pages").text.splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


def _next(record: Record, first: Stage, second: Stage) -> Stage:
    """The first of two stages, or the second where that was played."""
    return second if first in record.stages else first


def _counts(held: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in held.items()) or "nothing"
