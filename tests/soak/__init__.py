"""Random runs with faults, drawn from seeds: a few in the plain suite, as many as there is time for in a soak."""
