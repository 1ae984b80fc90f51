"""A host that drives a device from user space, in real time: over vfio-user, or a function of this machine by VFIO."""
