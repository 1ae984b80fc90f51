"""One command, answer, event or queue entry explained field by field."""
