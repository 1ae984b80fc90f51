"""The tests of properties, by topic: each takes a world and returns what it saw, None where there is nothing."""
