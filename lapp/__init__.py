"""PostgreSQL as a resilient database: see database/."""
