"""What an input says about its picture: convex sets for D x, and how one is chosen for a file."""

from __future__ import annotations

from typing import Literal, get_args

# Here, since the command line names them in its help before anything else is loaded.
Kind = Literal["exact", "jpeg", "noise", "none"]
KINDS: tuple[str, ...] = get_args(Kind)
