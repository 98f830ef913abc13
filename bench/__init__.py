"""Measurements of the gateway, all on loopback: `python -m bench`, or `make bench`."""
