"""Strict stand-ins for the servers that providers call; see README.md."""
