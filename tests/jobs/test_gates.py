"""Gates: whose turn it is, who is passed over, and who is sent to look elsewhere."""

from __future__ import annotations

import pytest

from fairstack_server.jobs.gates import Gate, Gates
from fairstack_server.jobs.line import Turn
from fairstack_server.providers.base import Fault, KeyCheck, Provider, ProviderError, SubmitClass
from fairstack_server.providers.limits import Limits
from tests.jobs.clock import StandingClock

BROKEN = ProviderError("it: no connection", sent=False, fault=Fault.PROVIDER)


class _Vendor:
    """Nobody sends it anything here."""

    submit_class = SubmitClass.D

    def __init__(self, name: str) -> None:
        self.name = name

    async def submit(self, order: object) -> object:
        raise AssertionError

    async def poll(self, ref: object) -> object:
        raise AssertionError


class _Answering(_Vendor):
    """It has a free call, which answers as told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.answer: KeyCheck | Exception = KeyCheck(True, "the key works")
        self.asked = 0

    async def check_key(self) -> KeyCheck:
        """Tell."""
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class _Stage:
    """Two providers, of which only the first has a free call."""

    def __init__(self, **limits: Limits) -> None:
        self.clock = StandingClock()
        self.asked, self.mute = _Answering("asked"), _Vendor("mute")
        providers: dict[str, Provider] = {"asked": self.asked, "mute": self.mute}  # type: ignore[dict-item]
        self.gates = Gates(providers, self.clock, limits)

    def shut(self, name: str) -> Gate:
        """The gate of this provider, its breaker open."""
        gate = self.gates.of(name)
        for _ in range(5):
            gate.broke(BROKEN)
        assert gate.is_shut
        return gate

    def pass_time(self, seconds: float) -> None:
        """Later; every gate looks whose turn it is."""
        self.clock.seconds += seconds
        for name in ("asked", "mute"):
            self.gates.of(name).admit()


def come(*turns: Turn) -> list[bool]:
    """Which of them have come."""
    return [turn.has_come for turn in turns]


async def test_no_more_than_the_limit_come_at_a_time() -> None:
    """A place is free when its job leaves; a task that is there already counts, above the limit too."""
    gate = _Stage(asked=Limits(in_flight=2)).gates.of("asked")
    gate.occupy("job_0")
    first, second, third = (gate.line_up(f"job_{number}", "a") for number in (1, 2, 3))
    assert come(first, second, third) == [True, False, False]
    gate.leave("job_0")
    assert come(second, third) == [True, False]
    gate.occupy("job_9")
    gate.leave("job_1")
    assert come(third) == [False]
    gate.leave("job_9")
    assert come(third) == [True]
    gate.close()


async def test_accounts_take_turns() -> None:
    """A hundred jobs of one account do not keep another account's one waiting behind them."""
    gate = _Stage(asked=Limits(in_flight=1)).gates.of("asked")
    gate.occupy("busy")
    many = [gate.line_up(f"many_{number}", "rich") for number in range(100)]
    one = gate.line_up("one", "poor")
    gate.leave("busy")
    assert come(many[0], one) == [True, False]
    gate.leave("many_0")
    assert come(many[1], one) == [False, True]
    gate.leave("one")
    assert come(*many[1:3]) == [True, False]
    gate.close()


async def test_who_gives_up_holds_nobody_back() -> None:
    """A turn that is withdrawn leaves the line, or gives its place back."""
    gate = _Stage(asked=Limits(in_flight=1)).gates.of("asked")
    first, second, third = (gate.line_up(f"job_{number}", "a") for number in (1, 2, 3))
    gate.withdraw(second)
    gate.withdraw(first)
    assert come(third) == [True]
    assert gate.report()["waiting"] == 0
    gate.close()


async def test_orders_in_a_time_are_limited() -> None:
    """Two in ten seconds: the third comes when the first is ten seconds old."""
    stage = _Stage(asked=Limits(orders=2, per_seconds=10.0))
    gate = stage.gates.of("asked")
    turns = [gate.line_up(f"job_{number}", "a") for number in range(2)]
    stage.pass_time(4.0)
    turns.append(gate.line_up("job_2", "a"))
    assert come(*turns) == [True, True, False]
    stage.pass_time(5.9)
    assert come(*turns) == [True, True, False]
    stage.pass_time(0.2)
    assert come(*turns) == [True, True, True]
    gate.close()


async def test_a_429_pauses_all() -> None:
    """Nobody comes before the time is over; a long pause has other routes preferred, a short one not."""
    stage = _Stage()
    gate = stage.gates.of("asked")
    gate.pause(20.0)
    turn = gate.line_up("job_1", "a")
    assert (turn.has_come, stage.gates.shut) == (False, frozenset())
    stage.pass_time(20.0)
    assert turn.has_come
    gate.pause(60.0)
    assert stage.gates.shut == {"asked"}
    stage.pass_time(31.0)
    assert stage.gates.shut == frozenset()
    gate.close()


async def test_who_waits_where_it_shuts_is_sent_to_look_again() -> None:
    """And who waits at a shut gate is, when another one opens."""
    stage = _Stage(asked=Limits(in_flight=1))
    asked, mute = stage.gates.of("asked"), stage.gates.of("mute")
    asked.occupy("busy")
    waiting = asked.line_up("job_1", "a")
    stage.shut("asked")
    assert waiting.called.result() == "look_again"
    stage.shut("mute")
    at_the_shut_one = asked.line_up("job_1", "a")
    assert not at_the_shut_one.called.done()
    mute.answered(took=True)
    assert at_the_shut_one.called.result() == "look_again"
    stage.gates.close()


async def test_a_free_call_opens_the_gate_again() -> None:
    """Not before the pause is over; then one call, and whoever waits may go. No order is spent on it."""
    stage = _Stage()
    gate = stage.shut("asked")
    turn = gate.line_up("job_1", "a")
    await stage.gates.probe()
    assert (stage.asked.asked, turn.has_come) == (0, False)
    stage.pass_time(5.0)
    assert not turn.has_come
    await stage.gates.probe()
    assert (stage.asked.asked, turn.has_come, gate.is_shut) == (1, True, False)
    gate.close()


@pytest.mark.parametrize("answer", [KeyCheck(False, "no credits left"), BROKEN, RuntimeError("a bug")])
async def test_a_free_call_that_fails_keeps_it_shut(answer: KeyCheck | Exception) -> None:
    """Longer than before; whatever broke, another call follows."""
    stage = _Stage()
    gate = stage.shut("asked")
    stage.asked.answer = answer
    for pause in (5.0, 10.0, 20.0):
        stage.pass_time(pause)
        await stage.gates.probe()
        await stage.gates.probe()
    assert (stage.asked.asked, gate.is_shut) == (3, True)
    report = gate.report()
    assert report["state"] == "open"
    assert report["permanent"] is isinstance(answer, KeyCheck)
    gate.close()


async def test_without_a_free_call_one_order_tries() -> None:
    """When the pause is over one job goes, the others wait for what comes of it."""
    stage = _Stage()
    gate = stage.shut("mute")
    first, second = gate.line_up("job_1", "a"), gate.line_up("job_2", "a")
    stage.pass_time(4.9)
    assert come(first, second) == [False, False]
    stage.pass_time(0.1)
    assert come(first, second) == [True, False]
    gate.broke(BROKEN)
    gate.leave("job_1")
    stage.pass_time(9.9)
    assert not second.has_come
    stage.pass_time(0.1)
    assert second.has_come
    gate.answered(took=True)
    assert gate.line_up("job_3", "a").has_come
    gate.close()


async def test_a_try_that_says_nothing_is_left_to_another() -> None:
    """The job that tried was cancelled before its order left: the next one tries."""
    stage = _Stage()
    gate = stage.shut("mute")
    first, second = gate.line_up("job_1", "a"), gate.line_up("job_2", "a")
    stage.pass_time(5.0)
    gate.withdraw(first)
    assert second.has_come
    gate.close()


async def test_a_stage_is_never_shut() -> None:
    """What a story of the sandbox acts out for one job is nobody else's business."""
    clock = StandingClock()
    sandbox: Provider = _Vendor("sandbox")  # type: ignore[assignment]
    gates = Gates({"sandbox": sandbox}, clock, stages={"sandbox"})
    gate = gates.of("sandbox")
    for _ in range(10):
        gate.broke(BROKEN)
    gate.pause(3600.0)
    assert gate.line_up("job_1", "a").has_come
    assert gates.shut == frozenset()
