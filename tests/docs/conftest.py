"""A gateway that the examples of the documents are tried on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.running import Running, running_gateway


@pytest.fixture(scope="module")
async def gateway(module_database: Dsn) -> AsyncIterator[Running]:
    """A gateway without any provider, shared by the examples."""
    home = make_folder()
    async with running_gateway(module_database, home) as running:
        yield running
    shutil.rmtree(home)
