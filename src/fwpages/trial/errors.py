"""The errors of a virtual machine and of the device in front of it; none of them is a verdict on a driver."""

from __future__ import annotations


class TrialError(RuntimeError):
    """A trial cannot go on; the text says what failed, with which values, and what to do."""


class MissingError(TrialError):
    """No QEMU, no kernel, or a part of one is not there: the text says what to set or to build."""


class MachineOffError(TrialError):
    """The virtual machine is off, or QEMU did not start it."""


class GuestTimeoutError(TrialError):
    """The guest did not do in time what it was asked for."""


class CommandFailedError(TrialError):
    """A command in the guest ended with another status than 0."""


class ServerError(TrialError):
    """The served device ended by an error of ours or of this machine, which is its cause."""
