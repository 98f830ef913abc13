"""The version of this package, kept here so that reading it costs no import of package metadata."""

from __future__ import annotations

__version__ = "0.1.0"
