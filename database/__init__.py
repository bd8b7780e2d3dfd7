"""A database with an application in front of it, made resilient.

What lapp and lamp have in common; each adds an ``engine``, which is all that
is particular to its database.
"""
