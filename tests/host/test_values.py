from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import msgspec

import fwpages.host


def test_all_but_session_and_record_are_values() -> None:
    """A clone shares them with its original: inputs, effects, steps, operations under way."""
    names = [m.name for m in pkgutil.walk_packages(fwpages.host.__path__, "fwpages.host.")]
    found = [c for n in names for c in vars(importlib.import_module(n)).values() if isinstance(c, type)]
    classes: set[type] = {c for c in found if dataclasses.is_dataclass(c)}
    assert len(classes) >= 30
    changing = {c.__name__ for c in classes if not vars(c)["__dataclass_params__"].frozen}
    assert changing == {"Session", "Record"}
    structs: set[type[msgspec.Struct]] = {c for c in found if issubclass(c, msgspec.Struct)}
    assert {"Answered", "Command", "PageOp", "PageRequest", "Request", "Send"} <= {c.__name__ for c in structs}
    assert all(c.__struct_config__.frozen for c in structs)
