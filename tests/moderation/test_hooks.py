"""The hook itself: what it is told, what it may answer, and what is done when it does not."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from fairstack_server.clock import SystemClock
from fairstack_server.egress import Egress
from fairstack_server.moderation import (
    TRUSTED_AS,
    ClipAsked,
    CommandHook,
    ContentRefused,
    FileShown,
    HookBroke,
    Moderation,
    NoVerdict,
    RequestAsked,
    build_moderation,
)
from fairstack_server.settings import SettingsError, read_settings
from fairstack_server.webhooks.sign import signature
from tests.moderation.hooks import ALLOW, REFUSE, SECRET, Address, Program, address, program

PICTURE = FileShown(
    "image", "image/png", 10, "ab" * 32, "http://media/image/x/picture.png", Path("/media/p.png")
)
ASKED = RequestAsked(
    job="job_1",
    account="acct_1",
    mode="live",
    model="wan-2-1-t2v",
    prompt="a secret garden",
    negative_prompt=None,
    options={"camera": "pan"},
    files=[PICTURE],
)
CLIP = ClipAsked(job="job_1", account="acct_1", mode="live", model="wan-2-1-t2v", clip=PICTURE)


def by_program(hook: Program, *, seconds: float = 20, fail_open: bool = False) -> Moderation:
    """Moderation by that program."""
    return Moderation(CommandHook(shlex.split(hook.command)), timeout_seconds=seconds, fail_open=fail_open)


def built(egress: Egress | None = None, **settings: str) -> Moderation:
    """Moderation as these settings make it."""
    named = {f"FAIRSTACK_MODERATION_{name.upper()}": value for name, value in settings.items()}
    return build_moderation(read_settings(named), egress or Egress(), signature, SystemClock().now)


def by_address(hook: Address) -> Moderation:
    """Moderation by that address."""
    egress = Egress(trusted_origins={TRUSTED_AS: [hook.url]})
    return built(egress, url=hook.url, secret=SECRET, timeout_seconds="20")


async def test_without_a_hook_everything_passes() -> None:
    """There is no list of ours."""
    moderation = built()
    await moderation.judge(ASKED)
    assert not moderation.asks


async def test_a_program_is_told_what_it_needs(tmp_path: Path) -> None:
    """The words, the model, whose it is, and files by their place; of a clip nothing but the clip."""
    hook = program(tmp_path)
    await by_program(hook).judge(ASKED)
    await by_program(hook).judge(CLIP)
    file = {"role": "image", "content_type": "image/png", "bytes": 10, "sha256": "ab" * 32}
    whose = {"job": "job_1", "account": "acct_1", "mode": "live", "model": "wan-2-1-t2v"}
    words = {"prompt": "a secret garden", "negative_prompt": None, "options": {"camera": "pan"}}
    files = [{**file, "path": "/media/p.png"}]
    assert hook.asked() == [
        {"stage": "request", **whose, **words, "files": files},
        {"stage": "result", **whose, "files": files},
    ]


async def test_a_refusal_has_a_code_and_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both come to the caller; the log has the code, and neither the message nor a word of the prompt."""
    with pytest.raises(ContentRefused) as refused:
        await by_program(program(tmp_path, request=REFUSE)).judge(ASKED)
    assert (refused.value.code, refused.value.message) == ("violence", "No violence on this server.")
    said = capsys.readouterr().out
    assert "moderation.refused" in said
    assert "violence" in said
    assert "No violence" not in said
    assert "garden" not in said


async def test_a_program_has_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of a provider, none of our settings, no shell; a PATH, so that it finds its own programs."""
    monkeypatch.setenv("FAL_KEY", "fal-secret")
    monkeypatch.setenv("FAIRSTACK_MODERATION_SECRET", SECRET)
    seen = tmp_path / "seen.json"
    body = f"open({str(seen)!r}, 'w').write(json.dumps([dict(os.environ), os.getcwd(), sys.argv[1:]]))"
    hook = program(tmp_path, body)
    words = [*shlex.split(hook.command), "$HOME; echo"]
    await Moderation(CommandHook(words), timeout_seconds=20).judge(ASKED)
    text = seen.read_text()
    assert "PATH" in text
    assert "fal-secret" not in text
    assert "FAIRSTACK" not in text
    assert text.endswith('"/", ["$HOME; echo"]]')


BROKEN = {
    "fails": "sys.exit(3)",
    "silent": "sys.exit(0)",
    "nonsense": "print('yes'); sys.exit(0)",
    "chatty": "print('x' * 100_000); sys.exit(0)",
    "unsure": 'print(\'{"verdict": "perhaps"}\'); sys.exit(0)',
    "more": 'print(\'{"verdict": "allow", "score": 1}\'); sys.exit(0)',
    "odd_code": 'print(\'{"verdict": "refuse", "code": "A B"}\'); sys.exit(0)',
    "long": 'print(json.dumps({"verdict": "refuse", "message": "x" * 301})); sys.exit(0)',
    "two": 'print(\'{"verdict": "allow"}\')',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=list(BROKEN))
async def test_a_broken_program_stops_everything(
    tmp_path: Path, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not a verdict in every detail is none: nothing passes then, and the operator reads why."""
    hook = program(tmp_path, body)
    with pytest.raises(NoVerdict):
        await by_program(hook).judge(ASKED)
    said = capsys.readouterr().out
    assert "moderation.no_verdict" in said
    assert "garden" not in said
    await by_program(hook, fail_open=True).judge(ASKED)


async def test_a_slow_program_is_ended(tmp_path: Path) -> None:
    """When its time is over it is killed with all that it started, and there is no verdict."""
    pids = tmp_path / "pids"
    body = (
        f"child = os.fork()\nif child:\n    open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child}}')\n"
        "while True: time.sleep(60)"
    )
    judging = asyncio.create_task(by_program(program(tmp_path, body), seconds=2).judge(ASKED))
    with pytest.raises(NoVerdict, match="2 s"):
        await judging
    for pid in pids.read_text().split():
        status = Path(f"/proc/{pid}/stat")
        assert not status.exists() or ") Z " in status.read_text()


async def test_programs_wait_for_their_turn(tmp_path: Path) -> None:
    """No more of them run at a time than the setting says."""
    running = tmp_path / "running"
    running.mkdir()
    body = (
        f"mine = {str(running)!r} + '/' + str(os.getpid())\n"
        "open(mine, 'w').close()\n"
        "time.sleep(0.05)\n"
        "most = len(os.listdir(os.path.dirname(mine)))\n"
        f"with open({str(tmp_path / 'most')!r}, 'a') as log: log.write(f'{{most}}\\n')\n"
        "os.unlink(mine)"
    )
    words = shlex.split(program(tmp_path, body).command)
    moderation = Moderation(CommandHook(words, at_once=2), timeout_seconds=60)
    await asyncio.gather(*(moderation.judge(ASKED) for _ in range(6)))
    seen = [int(line) for line in (tmp_path / "most").read_text().split()]
    assert len(seen) == 6
    assert max(seen) <= 2


async def test_an_address_is_asked_with_a_signature() -> None:
    """Any library of Standard Webhooks proves that we ask; files come by URL and never by place."""
    async with address() as hook:
        await by_address(hook).judge(ASKED)
    ((headers, body),) = hook.came
    asked: Any = Webhook(SECRET).verify(body, dict(headers))
    assert asked["prompt"] == "a secret garden"
    assert asked["files"][0]["url"] == "http://media/image/x/picture.png"
    assert "path" not in asked["files"][0]


async def test_an_address_refuses(tmp_path: Path) -> None:
    """Its code and message are the user's answer."""
    async with address() as hook:
        hook.answer = lambda asked: REFUSE if asked["stage"] == "result" else ALLOW
        await by_address(hook).judge(ASKED)
        with pytest.raises(ContentRefused, match="No violence"):
            await by_address(hook).judge(CLIP)


async def test_an_address_that_breaks_stops_everything() -> None:
    """A redirect or an error is no verdict, whatever it says, and neither is nobody at all."""
    async with address() as hook:
        for hook.status in (302, 403, 500):
            with pytest.raises(NoVerdict, match=str(hook.status)):
                await by_address(hook).judge(ASKED)
        gone = by_address(hook)
    with pytest.raises(NoVerdict):
        await gone.judge(ASKED)


async def test_only_the_operators_own_address_may_be_private() -> None:
    """The guard lets a hook out to the origin that was set, and to no other on this machine."""
    async with address() as hook:
        with pytest.raises(NoVerdict):
            await built(Egress(), url=hook.url, secret=SECRET).judge(ASKED)
        assert hook.came == []


@pytest.mark.parametrize(
    "settings",
    [
        {"command": f"{sys.executable} -c pass", "url": "https://judge.example", "secret": SECRET},
        {"command": "no-such-program-anywhere --strict"},
        {"command": "'unclosed"},
        {"url": "https://judge.example"},
        {"url": "https://judge.example", "secret": "secret"},
    ],
    ids=["both", "missing", "unclosed", "unsigned", "no_secret"],
)
def test_settings_that_cannot_be_meant_stop_the_start(settings: dict[str, Any]) -> None:
    """A server whose operator wants a check never starts without one."""
    with pytest.raises(SettingsError, match="FAIRSTACK_MODERATION"):
        built(**settings)


def test_the_secret_is_not_shown() -> None:
    """Settings can be printed."""
    assert SECRET not in repr(read_settings({"FAIRSTACK_MODERATION_SECRET": SECRET}))


async def test_a_program_that_vanished_is_named() -> None:
    """It was there at the start; now the operator reads which one is not."""
    with pytest.raises(HookBroke, match="/gone"):
        await CommandHook(["/gone"]).ask(b"{}", seconds=5)
