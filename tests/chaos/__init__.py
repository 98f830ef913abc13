"""Crashes at every boundary, and what must be true after them: `python -m tests.chaos.campaign`."""
