"""One estate for the tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest

from fairstack_server.db.dsn import Dsn
from tests.access.estate import Estate, open_estate
from tests.conftest import make_folder


@pytest.fixture(scope="module")
async def estate(module_database: Dsn) -> AsyncIterator[Estate]:
    """A gateway with two accounts that own one of everything."""
    home = make_folder()
    async with open_estate(module_database, home) as opened:
        yield opened
    shutil.rmtree(home)
