"""Error numbers, negative as Linux's functions return them."""

from __future__ import annotations

ENOENT = -2
EIO = -5
ENXIO = -6
ENOMEM = -12
EBUSY = -16
EEXIST = -17
EINVAL = -22
ENOLINK = -67
ETIMEDOUT = -110
EREMOTEIO = -121
