"""The driver's own structures in the memory of a kernel: types, addresses, and the walks through them."""
