"""Faults of a link, and what they cause."""
