"""What joins a host to a device."""
