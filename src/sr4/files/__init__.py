"""Files and folders: written whole or not at all, known as ours or not, read within limits."""
