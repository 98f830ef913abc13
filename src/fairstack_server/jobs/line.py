"""A line of waiting jobs, fair among accounts: one of each in turn, in each first come, first served."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

#: `go`: a place at the provider is ours. `look_again`: choose the route anew, another one may be better now.
Call = Literal["go", "look_again"]


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One job's turn to send its order to one provider; `called` ends when it comes, or better may be had."""

    job_id: str
    account_id: str
    called: asyncio.Future[Call] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def has_come(self) -> bool:
        """It may send now; its place is kept until it leaves."""
        return self.called.done() and not self.called.cancelled() and self.called.result() == "go"

    def call(self, call: Call) -> None:
        """Tell whoever waits; only the first call counts."""
        if not self.called.done():
            self.called.set_result(call)


class Line:
    """Turns that have not come yet."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, deque[Turn]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(turns) for turns in self._accounts.values())

    def join(self, turn: Turn) -> None:
        """Wait behind the others of the same account."""
        self._accounts.setdefault(turn.account_id, deque()).append(turn)

    def quit(self, turn: Turn) -> None:
        """Wait no more."""
        turns = self._accounts.get(turn.account_id)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._accounts[turn.account_id]

    def next(self) -> Turn:
        """Take the next turn; its account goes to the end. Raises IndexError when nobody waits."""
        if not self._accounts:
            raise IndexError("nobody waits")
        account, turns = self._accounts.popitem(last=False)
        turn = turns.popleft()
        if turns:
            self._accounts[account] = turns
        return turn

    def dismiss(self) -> None:
        """Send everybody away to look again."""
        accounts, self._accounts = self._accounts, OrderedDict()
        for turns in accounts.values():
            for turn in turns:
                turn.call("look_again")
