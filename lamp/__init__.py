"""MariaDB as a resilient database: see database/."""
