"""Money as integer microdollars (1 USD = 1,000,000 micros); no float ever meets it."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

MICROS_PER_USD = 1_000_000
#: The largest amount the store can hold (PostgreSQL bigint).
MAX_MICROS = 2**63 - 1


def display(micros: int) -> str:
    """Write micros as dollars with at least 2 decimals, then only as many as the value needs.

    >>> display(48_000), display(9_750_000), display(10_000_000), display(12_500), display(-1)
    ('$0.048', '$9.75', '$10.00', '$0.0125', '-$0.000001')
    """
    whole, fraction = divmod(abs(micros), MICROS_PER_USD)
    decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}${whole}.{decimals}"


def micros_of_usd(usd: Decimal | str | int) -> Decimal:
    """Exact (possibly fractional) micros of an amount in dollars, as prices are written in files.

    Raises ValueError for anything that is not a finite number of dollars.
    """
    try:
        amount = Decimal(usd)
    except InvalidOperation as error:
        raise ValueError(f"{usd!r} is not an amount in dollars") from error
    if not amount.is_finite():
        raise ValueError(f"{usd!r} is not an amount in dollars")
    return amount * MICROS_PER_USD


def ceil_micros(micros: Decimal) -> int:
    """Round up to a whole micro; done once, at the end of a calculation."""
    return int(micros.to_integral_value(rounding=ROUND_CEILING))
