"""The links that join a host to a device."""
