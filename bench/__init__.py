"""How fast the stack is, on this machine."""
