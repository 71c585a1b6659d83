"""Gaussian diffusion on plain arrays: schedules, predictions, process, losses and samplers.

Nothing here imports torch: one implementation serves NumPy arrays and torch tensors alike, through
the array namespace of its arguments. Noise levels are NumPy float64 `log_snr` numbers, scalar or
(B,), until the last moment, when coefficients take the dtype of the pictures.
"""
