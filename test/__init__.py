"""All tests; ``test/run`` runs them, tier by tier."""
