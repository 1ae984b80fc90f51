"""One ``uint32`` for each page of a space: who owns it, in which state. 0 says nobody."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fwpages.pages.space import Indices

#: tags of pages: shape (n,), dtype uint32
Tags = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


class TagMap:
    """Tags by index. All operations are on arrays of indices; callers hand in none that is out of range."""

    __slots__ = ("_tags",)

    def __init__(self) -> None:
        self._tags: Tags = np.zeros(0, np.uint32)

    @property
    def size(self) -> int:
        """How many indices there is room for."""
        return self._tags.size

    def reserve(self, size: int) -> None:
        """Room for ``size`` indices; the new ones are tagged 0. Grows by at least a quarter, to copy seldom."""
        if size > self._tags.size:
            new = np.zeros(max(size, self._tags.size * 5 // 4), np.uint32)
            new[: self._tags.size] = self._tags
            self._tags = new

    def get(self, index: Indices) -> Tags:
        """The tag of each page; 0 for an index of -1."""
        if not self._tags.size:
            return np.zeros(index.size, np.uint32)
        tags = self._tags[index]
        outside = index < 0
        if outside.any():
            tags[outside] = 0
        return tags

    def put(self, index: Indices, tag: int) -> None:
        """Tag all of these alike."""
        self._tags[index] = tag

    def replace(self, old: int, new: int) -> Indices:
        """Give ``new`` to every page tagged ``old``; returns which those were."""
        index = self.where(old)
        self._tags[index] = new
        return index

    def where(self, tag: int) -> Indices:
        """The indices tagged so, ascending."""
        return np.flatnonzero(self._tags == np.uint32(tag))

    def counts(self) -> dict[int, int]:
        """How many pages carry each tag; those of nobody are left out."""
        tags, n = np.unique(self._tags[self._tags != 0], return_counts=True)
        return dict(zip(tags.tolist(), n.tolist(), strict=True))

    def firsts(self, index: Indices) -> Mask:
        """True for the first time that an index occurs in ``index``, False for each repetition.

        Writes positions into the tags and puts them back: two scatters and a gather, no sort and no memory of its
        own. No index may be -1.
        """
        saved = self._tags[index]
        position = np.arange(index.size, dtype=np.uint32)
        self._tags[index[::-1]] = position[::-1]
        first: Mask = self._tags[index] == position
        self._tags[index] = saved
        return first

    def copy(self) -> TagMap:
        """A map of its own with the same tags."""
        new = TagMap()
        new._tags = self._tags.copy()
        return new

    def used(self) -> Tags:
        """The tags up to the last that is not 0: what growing ahead left behind is not in it."""
        used = np.flatnonzero(self._tags)
        return self._tags[: used[-1] + 1] if used.size else self._tags[:0]
