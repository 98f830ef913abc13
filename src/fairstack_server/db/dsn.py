"""Where a database is and how to open it, without ever printing its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit


class DatabaseError(Exception):
    """The database cannot be used; the message says what happened and the next step, never a password."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """A PostgreSQL URL. `str()` and `repr()` leave the password out; `url` holds it."""

    url: str = field(repr=False)

    @classmethod
    def on_socket(cls, folder: Path, *, user: str, password: str, database: str) -> Dsn:
        """The server that listens on a Unix socket in `folder`."""
        return cls(
            f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@/{quote(database, safe='')}"
            f"?host={quote(str(folder), safe='')}"
        )

    @property
    def database(self) -> str:
        """The name of the database, empty when the URL leaves it to the server's default."""
        return urlsplit(self.url).path.lstrip("/")

    def with_database(self, name: str) -> Dsn:
        """The same server and user, another database."""
        return Dsn(urlunsplit(urlsplit(self.url)._replace(path=f"/{quote(name, safe='')}")))

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        where = parse_qs(parts.query).get("host", [""])[0] or parts.netloc.rpartition("@")[2]
        return f"PostgreSQL database {self.database!r} at {where}"
