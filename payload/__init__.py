"""The default payload: a small service, and how it is made resilient.

It knows nothing of the stack, and imports nothing from it.
"""
