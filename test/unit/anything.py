"""Any text and any value of JSON, for hypothesis; and its settings."""
from hypothesis import HealthCheck, strategies

FAST = {
  'deadline': None, 'database': None,
  'suppress_health_check': list(HealthCheck)}
TEXT = strategies.text(max_size=20)
ANY = strategies.recursive(
  strategies.none() | strategies.booleans() | strategies.integers()
  | strategies.floats() | TEXT,
  lambda inner: strategies.lists(inner, max_size=3)
  | strategies.dictionaries(TEXT, inner, max_size=3), max_leaves=6)
