"""A world by its parts, small enough to be sent to another process and built there."""

from __future__ import annotations

import dataclasses
import io
import operator
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.rules import Rules, rules
from fwpages.explore.model.world import World, world
from fwpages.pages.words import meant
from fwpages.scenario import Scenario, ScenarioError
from fwpages.scenario.format import Switch


@dataclass(frozen=True, slots=True)
class Spec:
    """A world: its scenario, the design that drives it, the assumptions that differ, and whether mapping is eager.

    ``commuting``: as in ``Rules``.
    """

    name: str
    scenario: Scenario
    design: str = "fwpages"
    overrides: Mapping[Switch, bool] = field(default_factory=dict)
    eager: bool = True
    commuting: bool = False

    def rules(self) -> Rules:
        """Its rules. Raises ScenarioError, with the key path, for a scenario that no world can be."""
        if self.design not in DESIGNS:
            raise ScenarioError(f"there is no design {self.design!r}; {meant(self.design, DESIGNS)}")
        expect = self.scenario.expect
        for kind in ("always", "never", "sometimes"):
            _known(f"expect.{kind}", getattr(expect, kind), PROPERTIES)
        _known("expect.eventually", expect.eventually, EVENTUALLY)
        return rules(
            self.name,
            self.scenario,
            self.design,
            overrides=MappingProxyType(dict(self.overrides)),
            eager=self.eager,
            commuting=self.commuting,
        )

    def build(self) -> World:
        """The first state of the world."""
        its = self.rules()
        return world(its, DESIGNS[self.design](its.config))


def _known(where: str, names: tuple[str, ...], table: Mapping[str, object]) -> None:
    for n, name in enumerate(names):
        if name not in table:
            raise ScenarioError(f"{where}[{n}]: there is no property {name!r}; {meant(name, table)}")


class Packer:
    """Turns worlds into bytes and back.

    Objects that never change (rules, profile, functions, configuration) are written as a number, so both ends must be
    made from equal specs. A machine that several worlds share is written once; its facts stay where they are.
    """

    def __init__(self, root: World) -> None:
        #: the first state; all that are packed must come of it, as shared objects are known by identity
        self.root = root
        firmware = root.firmware
        machines = firmware.catalogue, *firmware.inner.constants, *root.driver.constants()
        self._shared = [root.rules, root.machines, *machines]
        numbers = {id(x): n for n, x in enumerate(self._shared)}

        def reduce(x: object) -> Any:
            n = numbers.get(id(x))
            return x.__reduce_ex__(5) if n is None else (_shared, (n,))

        # by type and not by persistent_id, which would ask about every single object
        self._table = _Table(dict.fromkeys({type(x) for x in self._shared} - _PLAIN, reduce))
        self._table[np.ndarray] = _written

    def pack(self, worlds: Sequence[World]) -> bytes:
        """The states of these worlds, without their logs: many at once are smaller and faster than one by one."""
        stream = io.BytesIO()
        pickler = pickle.Pickler(stream, 5)
        pickler.dispatch_table = self._table
        pickler.dump([replace(w, log=[]) for w in worlds])
        return stream.getvalue()

    def unpack(self, data: bytes) -> list[World]:
        """The worlds of ``pack``."""
        _objects[:] = self._shared
        found: list[World] = pickle.loads(data)  # noqa: S301  # written by ``pack`` in this program's own processes
        return found


class _Table(dict[type, Callable[[Any], Any]]):
    """How objects are written, by type: dataclasses as their class and values, in a fifth of the usual time."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        if issubclass(kind, type):  # a class is written by its name
            raise KeyError(kind)
        parts = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
        if not parts or not all(f.init and not f.kw_only for f in parts):
            self[kind] = lambda x: x.__reduce_ex__(5)
            return self[kind]
        values = operator.attrgetter(*(f.name for f in parts))
        many = len(parts) > 1
        self[kind] = lambda x: (kind, values(x) if many else (values(x),))
        return self[kind]


def _written(x: npt.NDArray[Any]) -> tuple[object, ...]:
    """An array, of which worlds have many small ones: its bytes, in a fraction of the time that NumPy takes."""
    if x.ndim != 1 or x.dtype.hasobject:
        found: tuple[object, ...] = x.__reduce_ex__(5)  # type: ignore[assignment]  # a string only for what has a name
        return found
    return _array, (x.tobytes(), x.dtype.str, x.flags.writeable)


def _array(data: bytes, kind: str, writeable: bool) -> npt.NDArray[Any]:  # called by the pickler
    found = np.frombuffer(data, kind)
    return found.copy() if writeable else found


#: types that a pickler writes without its table
_PLAIN: set[type] = {str, bytes, int, dict, list, tuple}
#: the shared objects of the packer that unpacks now
_objects: list[object] = []


def _shared(n: int) -> object:
    return _objects[n]
