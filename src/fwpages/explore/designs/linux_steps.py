"""Every step of the Linux models by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fwpages.explore.designs import linux_close, linux_eswitch, linux_pagework, linux_startup

STEPS: dict[str, Callable[..., Any]] = {
    **linux_pagework.STEPS,
    **linux_startup.STEPS,
    **linux_eswitch.STEPS,
    **linux_close.STEPS,
}
