"""The data path of the stack: sealing, moving, verifying, taking over.

``docs/design.rst`` is the map of this package.
"""
