"""Arms times seeds: the jobs, the plan, and the report with its tables."""
