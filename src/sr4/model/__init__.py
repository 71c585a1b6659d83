"""A diffusion model as one object, and the folder that describes it."""
