"""The Python client and its command line, against a strict fake server or a real one."""
