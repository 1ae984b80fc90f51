"""The calls of mlx5_core about pages, from now on, by events of the kernel's own tracing: ``fwpages record``."""
