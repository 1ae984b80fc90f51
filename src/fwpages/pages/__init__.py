"""Sets and maps of 4 KiB pages on NumPy arrays.

A *space* gives every page that it covers a small index: ``DenseSpace`` for one contiguous range of our own I/O
addresses, ``SparseSpace`` for anybody's. A ``TagMap`` keeps one ``uint32`` for each page of a space.
"""

from fwpages.pages.space import PAGE_SHIFT, PAGE_SIZE, DenseSpace, Space, SparseSpace
from fwpages.pages.tags import TagMap

__all__ = ["PAGE_SHIFT", "PAGE_SIZE", "DenseSpace", "Space", "SparseSpace", "TagMap"]
