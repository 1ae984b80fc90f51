"""The kernel's error numbers that mlx5_core prints, with Linux's names (``errno-base.h``, ``errno.h``) and words."""

from __future__ import annotations

_ERRNOS = {
    1: ("EPERM", "operation not permitted"),
    2: ("ENOENT", "no such entry"),
    4: ("EINTR", "interrupted"),
    5: ("EIO", "input/output error"),
    6: ("ENXIO", "no such device or address"),
    11: ("EAGAIN", "try again"),
    12: ("ENOMEM", "out of memory"),
    13: ("EACCES", "permission denied"),
    14: ("EFAULT", "bad address"),
    16: ("EBUSY", "device busy"),
    17: ("EEXIST", "it exists already"),
    19: ("ENODEV", "no such device"),
    22: ("EINVAL", "invalid argument"),
    28: ("ENOSPC", "no space left"),
    34: ("ERANGE", "number out of range"),
    38: ("ENOSYS", "function not implemented"),
    52: ("EBADE", "invalid exchange"),
    62: ("ETIME", "timer expired"),
    67: ("ENOLINK", "the link has been severed"),
    71: ("EPROTO", "protocol error"),
    95: ("EOPNOTSUPP", "operation not supported"),
    105: ("ENOBUFS", "no buffer space"),
    110: ("ETIMEDOUT", "timed out"),
    121: ("EREMOTEIO", "the device refused it"),
    125: ("ECANCELED", "canceled"),
    517: ("EPROBE_DEFER", "the probe is put off"),
    524: ("ENOTSUPP", "operation not supported"),
}


def errno_words(err: int) -> str:
    """An error as the driver prints it, with its name and words: ``-22 (EINVAL, invalid argument)``."""
    name, words = _ERRNOS.get(abs(err), ("", ""))
    return f"{-abs(err)} ({name}, {words})" if name else f"{-abs(err)}"
