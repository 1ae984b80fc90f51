"""Linux's driver as a state machine, in two designs."""
