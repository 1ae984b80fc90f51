"""Every order of events of a small world, tried on the very code of ``host`` and ``device``."""
