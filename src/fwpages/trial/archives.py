"""Archives and compressed files, by libarchive, which is an extra."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fwpages.trial.errors import MissingError

#: the format that Linux unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)
_FORMAT: Final = "cpio_newc"
#: bytes of a file that is unpacked: a kernel's largest module with debug information has a tenth of it
MOST_UNPACKED: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive; ``data`` None is a folder."""

    path: str
    data: bytes | None
    permission: int = 0o644


def _library() -> Any:  # it has no types
    try:
        import libarchive  # noqa: PLC0415  # it is an extra
    except (ImportError, OSError, AttributeError, TypeError) as e:
        # without the C library underneath, the import fails at one of its functions
        line = "pip install 'fwpages[trial]' and apt install libarchive13"
        raise MissingError(f"libarchive is needed to make an initramfs ({e}): {line}") from None
    return libarchive


def cpio(members: Iterable[Member]) -> bytes:
    """The archive of these members, whose owner is root."""
    library, parts = _library(), bytearray()

    def write(data: bytes) -> int:
        parts.extend(bytes(data))
        return len(data)

    with library.custom_writer(write, _FORMAT) as archive:
        for m in members:
            kind = library.entry.FileType.DIRECTORY if m.data is None else library.entry.FileType.REGULAR_FILE
            data = m.data or b""
            archive.add_file_from_memory(m.path, len(data), data, kind, m.permission, uid=0, gid=0, mtime=0)
    return bytes(parts)


def member(archive: Path, path: str) -> bytes | None:
    """The content of a file in an archive, compressed or not; None without it. MissingError if unreadable."""
    library = _library()
    try:
        with library.file_reader(str(archive)) as entries:
            for entry in entries:
                if entry.pathname.removeprefix("./") == path:
                    return b"".join(entry.get_blocks())
    except library.ArchiveError as e:
        raise MissingError(f"{archive}: {e}") from None
    return None


def unpacked(file: Path) -> bytes:
    """The content of a file that may be compressed, by any means that libarchive knows (.gz, .xz, .zst)."""
    library, data = _library(), bytearray()
    try:
        with library.file_reader(str(file), "raw") as entries:
            for entry in entries:
                for block in entry.get_blocks():
                    data += block
                    if len(data) > MOST_UNPACKED:
                        raise MissingError(f"{file}: more than {MOST_UNPACKED >> 20} MiB when unpacked")
    except library.ArchiveError as e:
        raise MissingError(f"{file}: it cannot be unpacked: {e}") from None
    return bytes(data)
