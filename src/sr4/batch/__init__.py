"""The work of one call, for one picture or many: planned, upscaled, written, told as events."""
