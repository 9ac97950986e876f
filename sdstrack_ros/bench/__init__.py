"""How fast it is on this machine, and how far from the machine's limit."""
