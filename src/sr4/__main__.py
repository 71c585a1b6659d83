"""`python -m sr4`: the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; see `sr4.cli.main.main`. Ctrl-C while it is still being
    loaded ends it in one line too.
    """
    try:
        from sr4.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("sr4: interrupted\n")
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
