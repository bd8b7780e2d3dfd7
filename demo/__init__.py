"""The demo: a standalone node, and the story that `make demo` tells on it."""
