"""Time-outs on the command line: ``KEY=SECONDS``, several with commas between."""

from __future__ import annotations

import re

import msgspec

from fwpages.device.timeouts import Timeouts
from fwpages.pages.words import meant
from fwpages.scenario.format import ScenarioError

_SETTING = re.compile(r"([a-z_]+)=([0-9]{1,9}(?:\.[0-9]{1,9})?)")


def timeouts(text: str, base: Timeouts | None = None) -> Timeouts:
    """The time-outs that the text names, the others those of ``base`` (None: Linux's own).

    Raises ScenarioError for text of another form, an unknown or repeated key, and a time out of range.
    """
    known = Timeouts.__struct_fields__
    chosen: dict[str, float] = {}
    for setting in text.split(","):
        m = _SETTING.fullmatch(setting.strip())
        if m is None:
            raise ScenarioError(f"time-out {setting!r}: expected KEY=SECONDS, as in command=2,reclaim_pages=0.5")
        if m[1] not in known:
            raise ScenarioError(f"there is no time-out {m[1]!r}; {meant(m[1], known)}")
        if m[1] in chosen:
            raise ScenarioError(f"time-out {m[1]} is there twice")
        chosen[m[1]] = float(m[2])
    try:
        return msgspec.convert({**msgspec.structs.asdict(base or Timeouts()), **chosen}, Timeouts)
    except msgspec.ValidationError as e:
        raise ScenarioError(f"time-outs {text!r}: {e}") from None
