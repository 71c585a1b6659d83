"""Speed and cost of models and runtimes on this machine."""
