"""Print constraints.txt: every package of this environment, pinned, transitive ones included.

Run it in the environment that the tests passed in:  make constraints
"""

from importlib.metadata import Distribution, distributions

HEADER = """\
# The versions tested on Python 3.11, transitive ones included; `make constraints` writes them.
# Packages that have left Python 3.10 are pinned from 3.11 on only."""
NOT_PINNED = {"pip", "sr4"}


def pin(package: Distribution) -> str:
    version = package.version.partition("+")[0]  # torch's CPU build is 2.13.0+cpu
    left_310 = ">=3.11" in package.metadata.get("Requires-Python", "").replace(" ", "")
    return f"{package.name}=={version}" + ('; python_version >= "3.11"' if left_310 else "")


if __name__ == "__main__":
    found = {package.name.lower(): package for package in distributions()}
    print(HEADER)
    print(*(pin(found[name]) for name in sorted(found) if name not in NOT_PINNED), sep="\n")
