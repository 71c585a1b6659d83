"""Systems trained and scored under equal conditions, and what came of it (needs torch)."""
