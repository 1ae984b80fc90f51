"""Compressed dumps, as ``makedumpfile -c`` and most kdump services write: read by libkdumpfile.

Such a dump has pages by their physical address. Pages that were left out of it (free, zero or user pages, by the
dump's level) are not known. libkdumpfile is a C library of the distributions; its few functions that are needed are
called through ctypes, because its Python bindings have to be compiled for each Python. Source of the calls:
``libkdumpfile/kdumpfile.h``, which has them since version 0.5.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from contextlib import suppress
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from ctypes.util import find_library
from functools import cache
from typing import Any

from fwpages.machine.structures.errors import FileError

#: the first bytes of such files; a flattened one begins with the last
MAGIC = (b"KDUMP   ", b"DISKDUMP", b"makedumpfile")
#: names of the library where the linker's cache has none: versions whose calls are those that are used here
_NAMES = ("libkdumpfile.so.10", "libkdumpfile.so.9")
#: KDUMP_OK, and KDUMP_ERR_NODATA: the page was left out, or is no memory
_OK, _LEFT_OUT = 0, 3
#: KDUMP_MACHPHYSADDR: addresses are physical, and need no knowledge of the machine
_PHYSICAL = 1
_INSTALL = (
    "apt install libkdumpfile10 (Debian 12, Ubuntu; a later number in later ones), dnf install libkdumpfile (Fedora)"
)


#: the functions that are used: name, result, arguments
_CALLS = (
    ("kdump_new", c_void_p, ()),
    ("kdump_free", None, (c_void_p,)),
    ("kdump_open_fdset", c_int, (c_void_p, c_uint, c_void_p)),
    ("kdump_get_err", c_char_p, (c_void_p,)),
    ("kdump_vmcoreinfo_raw", c_int, (c_void_p, c_void_p)),
    ("kdump_set_attr", c_int, (c_void_p, c_char_p, c_void_p)),
    ("kdump_get_attr", c_int, (c_void_p, c_char_p, c_void_p)),
    ("kdump_read", c_int, (c_void_p, c_int, c_uint64, c_void_p, c_void_p)),
)
#: KDUMP_STRING: the type of an attribute
_STRING = 4


class _Attribute(ctypes.Structure):
    """kdump_attr_t of a string."""

    _fields_ = (("type", c_int), ("string", c_char_p))


class Kdump:
    """An open compressed dump; offsets in it are physical addresses. ``name`` stands in error messages.

    Raises FileError where libkdumpfile is not there, or does not read the file.
    """

    #: bytes between two structures that are read rather than skipped: none, for the page there may be left out
    gap = 0

    def __init__(self, fd: int, name: str) -> None:
        self._name, self._failure = name, ""
        self._lib = library()
        if self._lib is None:
            raise FileError(
                f"{name}: a compressed dump, which libkdumpfile reads; it is not installed: {_INSTALL}. "
                "Or let the next dump be an ELF core: makedumpfile -E"
            )
        self._context: Any = self._lib.kdump_new()
        if not self._context:
            raise MemoryError("libkdumpfile has no memory for a dump")
        if self._lib.kdump_open_fdset(self._context, 1, byref(c_int(fd))) != _OK:
            raise FileError(f"{name}: libkdumpfile does not read this dump: {self._error()}{_flattened(fd)}")
        # a context without its file is never freed: libkdumpfile 0.5.1 may end the process over it
        weakref.finalize(self, self._lib.kdump_free, self._context)
        self._lib.kdump_set_attr(self._context, b"addrxlat.ostype", byref(_Attribute(_STRING, b"linux")))

    def _error(self) -> str:
        assert self._lib is not None
        return (self._lib.kdump_get_err(self._context) or b"no reason").decode("utf-8", "replace")

    @property
    def note(self) -> bytes | None:
        """The content of the note VMCOREINFO; None where the dump has none."""
        assert self._lib is not None
        text = POINTER(c_char)()
        if self._lib.kdump_vmcoreinfo_raw(self._context, byref(text)) != _OK:
            return None
        try:
            return ctypes.string_at(text)
        finally:
            _libc().free(text)

    @property
    def machine(self) -> str | None:
        """The machine's name, as ELF cores of it have it; None where the dump does not say it, as QEMU's do not."""
        assert self._lib is not None
        found = _Attribute()
        if self._lib.kdump_get_attr(self._context, b"arch.name", byref(found)) != _OK or found.type != _STRING:
            return None
        return (found.string or b"").decode("ascii", "replace")

    def readinto(self, view: memoryview, offset: int) -> int:
        """Read bytes from an offset; returns how many there are, fewer where a page was left out.

        FileError where libkdumpfile cannot read them, and each time from then on: 0.5.1 keeps a page that it could not
        unpack as one that it has, and ends the process over it.
        """
        assert self._lib is not None
        if self._failure:
            raise FileError(self._failure)
        size = c_size_t(len(view))
        buffer = (c_char * len(view)).from_buffer(view)
        status = self._lib.kdump_read(self._context, _PHYSICAL, offset, buffer, byref(size))
        if status not in (_OK, _LEFT_OUT):
            self._failure = (
                f"{self._name}: libkdumpfile cannot read all of this dump: {self._error()}; is it cut short?"
            )
            raise FileError(self._failure)
        return size.value


def _flattened(fd: int) -> str:
    return "; a flattened one can be put together: makedumpfile -R FILE <DUMP" if os.pread(fd, 4, 0) == b"make" else ""


@cache
def library() -> Any:
    """The library, with the types of the functions that are used; None where there is none."""
    for name in (find_library("kdumpfile"), *_NAMES):
        if name is not None:
            with suppress(OSError, AttributeError):  # not there, or too old
                return _declared(ctypes.CDLL(name))
    return None


def _declared(lib: Any) -> Any:
    for function, result, arguments in _CALLS:
        call = getattr(lib, function)
        call.restype, call.argtypes = result, arguments
    return lib


@cache
def _libc() -> Any:
    lib = ctypes.CDLL(None)
    lib.free.argtypes = (c_void_p,)
    return lib
