from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import fwpages.prm


def test_everything_in_the_contract_is_a_value() -> None:
    """Messages, identities and layouts are passed on and kept: a holder cannot change another's."""
    names = [m.name for m in pkgutil.walk_packages(fwpages.prm.__path__, "fwpages.prm.")]
    found = [c for n in names for c in vars(importlib.import_module(n)).values() if isinstance(c, type)]
    classes: set[type] = {c for c in found if dataclasses.is_dataclass(c)}
    assert len(classes) >= 9
    for c in classes:
        assert vars(c)["__dataclass_params__"].frozen, c
