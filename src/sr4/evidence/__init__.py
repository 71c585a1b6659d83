"""What an input says about its picture: convex sets for D x, and how one is chosen for a file."""
