"""`fairstack balance`."""

from __future__ import annotations

from fairstack.cli import options
from fairstack.cli.say import answer, facts, price


def balance(test: options.Test = False, as_json: options.AsJson = False) -> None:
    """Show the wallet: what can be spent and what unfinished jobs hold."""
    from fairstack.call import get

    with options.client_for(test=test) as client:
        if as_json:
            answer(client.send(get("/v1/credits")).text)
            return
        credits = client.credits.get()
    sandbox = options.is_sandbox(test=test)
    pairs = [("balance", price(credits.balance, sandbox=sandbox))]
    if credits.held is not None:
        pairs.append(("held", price(credits.held, sandbox=sandbox)))
    facts(pairs)
