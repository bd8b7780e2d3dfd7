"""What the macros write, without a node."""
