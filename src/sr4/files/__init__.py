"""Files and folders: written whole or not at all, known as ours or not, and read from strangers
within limits.
"""
