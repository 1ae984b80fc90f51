"""The modules of a kernel, installed or in the tree that they were built in, and the order in which they load."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fwpages.trial.archives import unpacked
from fwpages.trial.errors import MissingError

#: files and folders that are looked at for modules: a distribution's kernel has 5,000 modules, its tree 100,000 files
MOST_FILES: Final = 500_000
#: folders whose modules come before the kernel's own of the same name, the last first: modprobe takes them, too
_BEFORE: Final = ("extra", "updates")
_MODULE = re.compile(r"(.+)\.ko(?:\.(?:gz|xz|zst))?")
_DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")
_VERMAGIC = re.compile(rb"(?:^|\0)vermagic=([^ \0]*)[^\0]*\0")


def _name(file: str) -> str | None:
    """The module in a file of this name, as the kernel writes it; None where it is no module's."""
    m = _MODULE.fullmatch(file)
    return None if m is None else m[1].replace("-", "_")


@dataclass(frozen=True, slots=True)
class Module:
    """A module to be loaded."""

    name: str
    data: bytes

    @property
    def depends(self) -> tuple[str, ...]:
        """The modules that it needs, from its own section ``.modinfo``."""
        m = _DEPENDS.search(self.data)
        return tuple(n.replace("-", "_") for n in m[1].decode().split(",") if n) if m else ()

    @property
    def release(self) -> str:
        """The kernel release that it was built for; empty where it does not say."""
        m = _VERMAGIC.search(self.data)
        return m[1].decode() if m else ""


@dataclass(frozen=True, slots=True)
class Modules:
    """The files of modules by name, and the names of those that are built into the kernel."""

    where: Path
    files: Mapping[str, Path]
    builtin: frozenset[str]

    def in_order(self, *names: str) -> list[Module]:
        """These modules, each behind those that it needs; built-in ones are left out.

        MissingError for one that is neither there nor built in.
        """
        found: dict[str, Module] = {}
        for name in names:
            self._add(name, found, ())
        return list(found.values())

    def _add(self, name: str, found: dict[str, Module], for_: tuple[str, ...]) -> None:
        if name in found or name in self.builtin or name in for_:
            return
        file = self.files.get(name)
        if file is None:
            needed = f", which {for_[-1]} needs" if for_ else ""
            raise MissingError(
                f"{self.where} has no module {name}{needed}, and it is not built in: set its option to m or y "
                "(CONFIG_MLX5_CORE for mlx5_core), then `make modules` or `make modules_install`"
            )
        module = Module(name, unpacked(file))
        for each in module.depends:
            self._add(each, found, (*for_, name))
        found[name] = module


def modules_in(folder: Path) -> Modules:
    """The modules below this folder: ``/lib/modules/RELEASE``, or a tree of a kernel that was built.

    Folders ``build`` and ``source`` of an installed kernel lead to other trees, and are not followed, as no link is. Of
    a module that was installed twice, the one in ``updates`` counts, then that in ``extra``, as for modprobe.
    """
    every = sorted(_files(folder), key=lambda path: _rank(path.relative_to(folder).parts[0]))
    files = {name: path for path in every if (name := _name(path.name)) is not None}
    return Modules(folder, files, frozenset(_builtin(folder)))


def _rank(place: str) -> int:
    return _BEFORE.index(place) if place in _BEFORE else -1


def _files(folder: Path) -> Iterator[Path]:
    waiting, seen = [folder], 0
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            seen += 1
            if seen > MOST_FILES:
                raise MissingError(f"{folder}: more than {MOST_FILES:,} files: is it a kernel's?")
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            else:
                yield path


def _builtin(folder: Path) -> Iterator[str]:
    """The modules that ``modules.builtin`` lists, one path a line."""
    file = folder / "modules.builtin"
    rows = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
    return (name for row in rows if (name := _name(Path(row.strip()).name)) is not None)
