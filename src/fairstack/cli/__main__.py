"""`python -m fairstack.cli`."""

from __future__ import annotations

from fairstack.cli.main import main

main()
