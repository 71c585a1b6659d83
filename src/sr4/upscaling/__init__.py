"""Upscaling: pictures in, pictures out, with any model and of any size."""
