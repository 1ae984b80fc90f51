"""The firmware: command execution, functions and their demand for pages."""
