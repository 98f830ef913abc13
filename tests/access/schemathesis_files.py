"""What schemathesis is told beyond the document: how a picture looks. It loads this in its own venv.

Of random bytes none is a picture, and a file that was never taken can be neither read nor deleted.
"""

from __future__ import annotations

import importlib

from hypothesis import strategies

from tests.gateway.pictures import PHOTO

importlib.import_module("schemathesis").openapi.media_type(
    "image/png", strategies.just(PHOTO) | strategies.binary(max_size=64)
)
