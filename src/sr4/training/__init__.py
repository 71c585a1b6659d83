"""Training: objective, optimiser, average of the weights, checkpoints (needs torch)."""
