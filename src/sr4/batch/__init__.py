"""Many pictures in one call: planned, upscaled, written and reported."""
