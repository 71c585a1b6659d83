"""The `sr4` program: a module for each command, which parses and prints."""
