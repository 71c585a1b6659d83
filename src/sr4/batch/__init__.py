"""Many pictures in one call: planned, upscaled and written, told as events to whoever asked."""
