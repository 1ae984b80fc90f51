"""The audit: observations of a driver and a device into accounts and findings."""
