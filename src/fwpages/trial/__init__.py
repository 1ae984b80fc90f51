"""An unmodified driver in a virtual machine, put through a campaign of faults and judged from both sides."""
