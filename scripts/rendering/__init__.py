"""Synthetic pictures of what cameras do not take: text, screens, drawings, charts, patterns."""
