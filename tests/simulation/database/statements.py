"""What each SQL statement of the gateway does, by its text: one the model does not know is an error.

The statements are those of the code under simulation, word for word, so that whoever changes one is told that
the model must learn the new one; `test_conformance.py` holds the model to PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.simulation.database.tables import Row, Transaction

Meaning = Callable[..., Sequence[Row]]


class UnknownStatement(AssertionError):
    """The code under simulation runs SQL that the model has not learnt."""


class Meanings:
    """Statements by their text, blanks and line ends aside."""

    def __init__(self) -> None:
        self._meanings: dict[str, Meaning] = {}
        self._found: dict[str, Meaning] = {}

    def of(self, sql: str) -> Callable[[Meaning], Meaning]:
        """Decorate the function that does what this statement does."""

        def learn(meaning: Meaning) -> Meaning:
            self._meanings[_plain(sql)] = meaning
            return meaning

        return learn

    def find(self, sql: str) -> Meaning:
        """What a statement does. Raises UnknownStatement."""
        found = self._found.get(sql)
        if found is None:
            found = self._meanings.get(_plain(sql))
            if found is None:
                raise UnknownStatement(f"tests/simulation/database does not know: {_plain(sql)}")
            self._found[sql] = found
        return found

    @property
    def unused(self) -> set[str]:
        """Names of the functions of statements that nobody has run."""
        used = {_plain(sql) for sql in self._found}
        return {meaning.__name__ for sql, meaning in self._meanings.items() if sql not in used}

    def add(self, others: Meanings) -> None:
        """Know the statements of the others too."""
        self._meanings |= others._meanings


def only(rows: Sequence[Row], *columns: str) -> list[Row]:
    """The rows with these columns alone, in that order."""
    return [{column: row[column] for column in columns} for row in rows]


def value(what: Any, name: str = "value") -> list[Row]:
    """One row with one column."""
    return [{name: what}]


def find_all(tx: Transaction, table: str, **wanted: Any) -> list[Row]:
    """Rows whose columns have these values."""
    return [row for row in tx.all(table) if all(row[column] == it for column, it in wanted.items())]


def _plain(sql: str) -> str:
    return " ".join(sql.split())
