"""Providers: each translates between our words and one vendor's, and does nothing else."""
