"""The machine: its processors and memory, as far as this process may use them."""
