"""The machine: its processors and memory that this process may use, and what is installed."""
