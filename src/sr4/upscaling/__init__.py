"""Upscaling: pictures in, pictures out, of any size, by any model or the one that suits each."""
