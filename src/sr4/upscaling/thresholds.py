"""Numbers that decide in several places, which have to agree."""

from __future__ import annotations

LARGE = 2**18
"""Pixels of a result, or drawn for it, above which it is large: it is drawn in tiles, goes through
the worker by itself, is kept for the case that the call is stopped, and is looked on at meanwhile.
"""

WORTH_SAYING = 5e-4
"""Share of the pixels of a picture that are given up from which on it is told: the least one that
is 0.1 % once it is rounded.
"""
