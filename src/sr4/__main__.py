"""`python -m sr4`: the command line."""

from __future__ import annotations

import sys

from sr4.cli.main import main

sys.exit(main())
