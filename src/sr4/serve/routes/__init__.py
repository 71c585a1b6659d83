"""The routes of the service: what HTTP asks and answers, and nothing else."""
