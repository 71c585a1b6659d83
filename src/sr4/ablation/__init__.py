"""The paper's comparison: its systems trained and scored alike, its claims judged (needs torch)."""
