"""How charts, and pictures side by side, are drawn; their numbers come from elsewhere."""
