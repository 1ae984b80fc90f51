"""A vfio-user server: a device for a virtual machine."""
