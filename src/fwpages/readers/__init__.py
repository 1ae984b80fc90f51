"""Files into observations: traces, kernel logs however printed, command dumps, device profiles."""
