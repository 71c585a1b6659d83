"""A diffusion model as one object, opened from its folder and saved into one."""
