"""Faults of a firmware: their table, their actions, and the firmware that they are injected into."""
