"""A world: who is in it, what can happen next, what its users will do."""
