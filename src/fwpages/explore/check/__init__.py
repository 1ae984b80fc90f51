"""The search through a world, its properties, and walks through it."""
