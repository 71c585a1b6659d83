"""`sr4` that keeps what it draws of large pictures at once and all of it, however short the work.

A program of its own, run by test_goes_on.py: the words of the command are its arguments.
"""

from __future__ import annotations

from sr4.cli.main import main
from sr4.files import unfinished

unfinished._WORTH = -1.0
unfinished._SHARE = 1e9

if __name__ == "__main__":
    main()
