"""What goes wrong, drawn by the seed: each seed has its own mix, and after the troubles everything heals."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

#: What may happen to a process at a statement, a commit, a request or its answer.
Strike = Literal["crash", "freeze", "cut"]
#: What may come of an order. `before`: it never arrived; `after`: the vendor took it and we are not told.
OrderFault = Literal[
    "no_connection",
    "drop_before",
    "drop_after",
    "error_before",
    "error_after",
    "hang",
    "busy",
    "refused",
    "filtered",
    "bad_key",
    "gone",
]
#: What is drawn from: the loss that is feared most, twice as often.
_ORDER_FAULTS: Sequence[OrderFault] = [
    fault for fault in get_args(OrderFault) for _ in range(2 if fault == "drop_after" else 1)
]

TROUBLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Mix:
    """How often what goes wrong in one seed."""

    strikes: Mapping[Strike, float]
    order: float
    """Share of orders whose call breaks."""
    look: float
    """Share of polls, searches and cancels that break."""
    keep: float
    """Share of attempts to store a clip that break."""
    outages: int
    clock_jumps: int
    lost_rows: int
    kills: int
    freezes: int
    stops: int
    receiver_outages: int


def draw_mix(dice: random.Random) -> Mix:
    """A mix of troubles: most kinds are absent from most seeds, so that each also shows alone."""

    def sometimes(chance: float, most: float) -> float:
        return dice.random() * most if dice.random() < chance else 0.0

    def some(chance: float, most: int) -> int:
        return dice.randint(1, most) if dice.random() < chance else 0

    return Mix(
        strikes={
            "crash": sometimes(0.4, 0.02),
            "freeze": sometimes(0.25, 0.01),
            "cut": sometimes(0.3, 0.02),
        },
        order=sometimes(0.7, 0.8),
        look=sometimes(0.5, 0.5),
        keep=sometimes(0.3, 0.6),
        outages=some(0.25, 2),
        clock_jumps=some(0.08, 2),
        lost_rows=some(0.3, 3),
        kills=some(0.4, 3),
        freezes=some(0.3, 2),
        stops=some(0.2, 2),
        receiver_outages=some(0.4, 2),
    )


class Faults:
    """Draws the faults of one seed while its troubles last."""

    def __init__(self, dice: random.Random, mix: Mix) -> None:
        self._dice = dice
        self.mix = mix
        self.over = False
        self._strikes = [(kind, rate) for kind, rate in mix.strikes.items() if rate]

    def strike(self) -> Strike | None:
        """What happens to a process here and now."""
        if self.over or not self._strikes:
            return None
        drawn = self._dice.random()
        for kind, rate in self._strikes:
            if drawn < rate:
                return kind
            drawn -= rate
        return None

    def of_order(self) -> OrderFault | None:
        """What comes of an order, beside what it should."""
        if self.over or self._dice.random() >= self.mix.order:
            return None
        return self._dice.choice(_ORDER_FAULTS)

    def of_look(self) -> bool:
        """Whether a call that only reads, or asks to stop, breaks."""
        return not self.over and self._dice.random() < self.mix.look

    def of_keep(self) -> bool:
        """Whether storing a clip breaks."""
        return not self.over and self._dice.random() < self.mix.keep
