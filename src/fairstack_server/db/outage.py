"""Which errors mean that the database is gone for now: worth waiting for, and no fault of the request."""

from __future__ import annotations

import asyncpg

from fairstack_server.db.dsn import DatabaseError

DATABASE_DOWN = (
    OSError,  # no socket, nobody listens, the connection broke
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it is shutting down or starting up
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    DatabaseError,
)
