"""Every step of the Linux models by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fwpages.explore.designs.linux import close as linux_close
from fwpages.explore.designs.linux import eswitch as linux_eswitch
from fwpages.explore.designs.linux import page_work as linux_pagework
from fwpages.explore.designs.linux import startup as linux_startup

STEPS: dict[str, Callable[..., Any]] = {
    **linux_pagework.STEPS,
    **linux_startup.STEPS,
    **linux_eswitch.STEPS,
    **linux_close.STEPS,
}
