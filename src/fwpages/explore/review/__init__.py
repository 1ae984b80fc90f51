"""The review's questions and their answers."""
