"""Options for a program that starts a server and waits for it: when it can be used, and when it ends by itself."""

from __future__ import annotations

import fcntl
import os

import click

#: the first descriptor that is no standard stream
_FIRST = 3


class Descriptor(click.ParamType[int]):
    """A descriptor that the caller has opened for writing; no standard stream."""

    name = "fd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return its number; BadParameter for one that is not open, or not for writing."""
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"{value} is no number of a descriptor", param, ctx)
        if number < _FIRST:
            self.fail(f"{number} is a standard stream, or none: name {_FIRST} or above", param, ctx)
        try:
            mode = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
        except (OSError, OverflowError):
            self.fail(f"{number} is not open: the program that starts this one has to pass it on", param, ctx)
        if mode == os.O_RDONLY:
            self.fail(f"{number} is open for reading alone", param, ctx)
        return number


def say_ready(fd: int | None) -> None:
    """Write a line to this descriptor, and close it; nothing where it is None, or where its reader has gone."""
    if fd is None:
        return
    try:
        os.write(fd, b"ready\n")
    except OSError as e:
        click.echo(f"--ready-fd {fd}: {e.strerror}", err=True)
    finally:
        os.close(fd)
