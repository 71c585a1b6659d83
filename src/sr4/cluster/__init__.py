"""The same work on the machines of a cluster that people operate already."""
