"""The command queue, both ends of it, with its event queues."""
