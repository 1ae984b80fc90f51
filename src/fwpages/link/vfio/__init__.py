"""A PCI function of this machine, driven from user space through the kernel's VFIO."""
