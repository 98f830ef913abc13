"""How jobs are moved: gates, turns, the worker."""
