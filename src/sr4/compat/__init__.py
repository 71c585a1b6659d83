"""Models from other projects: weights and checkpoints of the unofficial SR3 implementation."""

from sr4.compat.sr3_weights import load_sr3_unet, read_sr3_checkpoint

__all__ = ["load_sr3_unet", "read_sr3_checkpoint"]
