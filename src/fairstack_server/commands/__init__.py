"""The operator's commands by noun, and how they run."""
