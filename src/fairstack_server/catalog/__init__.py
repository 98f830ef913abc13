"""The catalog: which models there are, how each is reached, what it takes and what it costs."""
