"""The HTTP API: parse, authorise, call, serialise. Nothing is decided here."""
