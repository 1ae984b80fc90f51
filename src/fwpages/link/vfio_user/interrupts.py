"""The eventfds that a vfio-user client waits on for a device's interrupts."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from fwpages.link.vfio_user.messages import Irqs, MessageError, SetIrqs

#: kinds of interrupt of a PCI device, by their numbers in VFIO: INTx, MSI, MSI-X, error, request
KINDS = 5
MSIX, ERROR = 2, 3


def _check_eventfd(fd: int) -> None:
    """Raise MessageError unless this descriptor is an eventfd, which only counts; make it non-blocking."""
    try:
        what = os.readlink(f"/proc/self/fd/{fd}")
    except OSError as e:
        raise MessageError(errno.EINVAL, f"a descriptor that cannot be looked at: {e.strerror}") from None
    if what != "anon_inode:[eventfd]":
        raise MessageError(errno.EINVAL, "DEVICE_SET_IRQS with a descriptor that is no eventfd")
    os.set_blocking(fd, False)


class Interrupts:
    """MSI-X vectors 0 to ``vectors`` - 1 and the eventfd of each that is armed. ``raised`` counts signals.

    There is one interrupt for errors too, which is never raised: without it QEMU warns at every start.
    """

    def __init__(self, vectors: int) -> None:
        self.vectors = vectors
        self.raised = 0
        #: (kind, number) → eventfd
        self._fds: dict[tuple[int, int], int] = {}

    @property
    def armed(self) -> tuple[int, ...]:
        """The vectors that have an eventfd, sorted."""
        return tuple(sorted(vector for kind, vector in self._fds if kind == MSIX))

    def count(self, index: int) -> int:
        """Return the number of interrupts of this kind; MessageError for an unknown kind."""
        if index >= KINDS:
            raise MessageError(errno.EINVAL, f"there is no interrupt kind {index}")
        return {MSIX: self.vectors, ERROR: 1}.get(index, 0)

    def set(self, m: SetIrqs, fds: Sequence[int]) -> None:
        """Carry out a request. The descriptors are taken over only on return; on an error they are the caller's.

        Eventfds come one for each vector, or none at all, which disarms them. Masking is the client's own business.
        """
        self._check(m, fds)
        match m.data:
            case Irqs.EVENTFD:
                self._arm(m, fds)
            case Irqs.NONE if not m.count:
                self._disarm(m.index)
            case _ if m.index == MSIX:
                on = m.states or bytes([1]) * m.count
                for vector in (m.start + n for n in range(m.count) if on[n]):
                    self.signal(vector)

    def _check(self, m: SetIrqs, fds: Sequence[int]) -> None:
        most = self.count(m.index)
        if m.start + m.count > most:
            raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS of {m.count} from {m.start}, there are {most}")
        if fds and (m.data is not Irqs.EVENTFD or m.action is not Irqs.TRIGGER):
            raise MessageError(errno.EINVAL, "DEVICE_SET_IRQS with descriptors that it does not speak of")
        if m.action is not Irqs.TRIGGER:
            raise MessageError(errno.ENOTSUP, "masking is not served")

    def _arm(self, m: SetIrqs, fds: Sequence[int]) -> None:
        if len(fds) not in (0, m.count):
            raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS of {m.count} with {len(fds)} descriptors")
        for fd in fds:
            _check_eventfd(fd)
        for vector in range(m.start, m.start + m.count):
            old = self._fds.pop((m.index, vector), None)
            if old is not None:
                os.close(old)
        self._fds.update({(m.index, m.start + n): fd for n, fd in enumerate(fds)})

    def _disarm(self, index: int) -> None:
        for key in [k for k in self._fds if k[0] == index]:
            os.close(self._fds.pop(key))

    def signal(self, vector: int) -> bool:
        """Raise this MSI-X interrupt; return False where it has no eventfd."""
        fd = self._fds.get((MSIX, vector))
        if fd is None:
            return False
        try:
            os.eventfd_write(fd, 1)
        except BlockingIOError:
            return True  # the counter is full: the client has a signal to read
        except OSError:
            return False
        self.raised += 1
        return True

    def clear(self) -> None:
        """Close all eventfds."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
