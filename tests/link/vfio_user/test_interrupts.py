"""Eventfds of a client: armed one for each vector or not at all, and never anything else than eventfds."""

from __future__ import annotations

import errno
import os

import pytest

from tests.link.vfio_client import Talk, message, refused, set_irqs


def eventfds(n: int) -> tuple[list[int], list[int]]:
    """Eventfds to pass, and the test's own copies to look at."""
    mine = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(n)]
    return [os.dup(fd) for fd in mine], mine


def test_interrupts(talk: Talk) -> None:
    theirs, mine = eventfds(3)
    assert talk.ask(set_irqs(5, 3), theirs) == (0, b"")
    assert list(talk.irqs.armed) == [5, 6, 7]
    assert talk.irqs.signal(6)
    assert not talk.irqs.signal(8)
    assert os.eventfd_read(mine[1]) == 1
    assert talk.ask(set_irqs(0, 2, flags=0x21))[0] == 0  # none of them armed
    assert talk.ask(set_irqs(5, 2, flags=0x22, data=b"\1\0"))[0] == 0
    assert os.eventfd_read(mine[0]) == 1
    assert talk.ask(set_irqs(5, 1)) == (0, b"")
    assert list(talk.irqs.armed) == [6, 7]
    assert talk.ask(set_irqs(0, 0, flags=0x21)) == (0, b"")
    assert list(talk.irqs.armed) == []
    for fd in mine:
        os.close(fd)


def test_interrupt_is_armed_anew(talk: Talk) -> None:
    (first, *_), mine = eventfds(1)
    (second, *_), also = eventfds(1)
    assert talk.ask(set_irqs(0, 1), [first])[0] == 0
    assert talk.ask(set_irqs(0, 1), [second])[0] == 0
    talk.irqs.signal(0)
    assert os.eventfd_read(also[0]) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(mine[0])
    for fd in mine + also:
        os.close(fd)


def test_full_counter_does_not_block(talk: Talk) -> None:
    theirs, mine = eventfds(1)
    assert talk.ask(set_irqs(0, 1), theirs)[0] == 0
    os.eventfd_write(mine[0], (1 << 64) - 2)
    assert talk.irqs.signal(0)
    os.close(mine[0])


def test_the_error_interrupt_never_comes(talk: Talk) -> None:
    theirs, mine = eventfds(1)
    assert talk.ask(set_irqs(0, 1, index=3), theirs)[0] == 0
    assert talk.irqs.armed == ()
    assert not talk.irqs.signal(0)
    os.close(mine[0])


@pytest.mark.parametrize(
    ("data", "fds", "number"),
    [
        (set_irqs(0, 2), 1, errno.EINVAL),
        (set_irqs(0, 1), 2, errno.EINVAL),
        (set_irqs(0, 0), 1, errno.EINVAL),
        (set_irqs(64, 1), 1, errno.EINVAL),
        (set_irqs(60, 5), 5, errno.EINVAL),
        (set_irqs(0xFFFFFFFF, 2), 2, errno.EINVAL),
        (set_irqs(0, 0xFFFFFFFF), 0, errno.EINVAL),
        (set_irqs(0, 1, index=0), 1, errno.EINVAL),
        (set_irqs(0, 1, index=5), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x21), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x04), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x20), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x27), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x34), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x44), 1, errno.EINVAL),
        (set_irqs(0, 1, flags=0x09), 0, errno.ENOTSUP),
        # none of them: all of a kind are disarmed, and nothing else is said so
        (set_irqs(0, 0, flags=0x22), 0, errno.EINVAL),
        (set_irqs(0, 0, flags=0x24), 0, errno.EINVAL),
        (set_irqs(0, 0, flags=0x09), 0, errno.EINVAL),
        (set_irqs(1, 0, flags=0x21), 0, errno.EINVAL),
        (set_irqs(0, 2, flags=0x22, data=b"\1"), 0, errno.EINVAL),
        (set_irqs(0, 1, data=b"\1"), 1, errno.EINVAL),
        (message(8, b"\0" * 19), 0, errno.EINVAL),
    ],
)
def test_interrupts_that_cannot_be(talk: Talk, data: bytes, fds: int, number: int) -> None:
    theirs, mine = eventfds(fds)
    refused(talk, data, number, theirs)
    assert talk.irqs.armed == ()
    for fd in mine:
        os.close(fd)


def test_interrupt_with_a_descriptor_that_is_no_eventfd(talk: Talk) -> None:
    reader, writer = os.pipe()
    theirs, mine = eventfds(1)
    refused(talk, set_irqs(0, 2), errno.EINVAL, [theirs[0], writer])
    os.close(reader)
    os.close(mine[0])
