"""The API judged by schemathesis, a tool that we did not write: `make fuzz`.

python -m tests.access.judged_by --venv PYTHON [--examples 300] [--scenarios 300] [--seed 1] [--plant NAME]

PYTHON is that of a venv with schemathesis-requirements.txt. It reads spec/openapi.json and attacks a gateway
of its own over loopback; requests are counted where they arrive. Then the server is made wrong in one way
after the other (door.py), and each must be found. `--plant NAME` does one of these alone, and shows all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairstack_server.egress import Egress
from fairstack_server.logs import configure_logging
from tests.access.door import FAULTS, Door, Fault
from tests.access.estate import HOOK, Nowhere
from tests.campaigns import Figure, campaign_database, report
from tests.conftest import make_folder
from tests.gateway.pictures import PHOTO
from tests.gateway.running import Running, running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos

_ROOT = Path(__file__).parents[2]
_DOCUMENT = _ROOT / "spec" / "openapi.json"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
)
#: Check -> why it says nothing about this API.
LEFT_OUT: Mapping[str, str] = {
    "positive_data_acceptance": "what the document allows, a model or a wallet may still refuse",
    "object_level_authorization": "knows reads alone; test_matrix.py asks every route as every role",
}


@dataclass(frozen=True, slots=True)
class Exempt:
    """A check that is wrong about some operations, and why."""

    check: str
    path: str
    why: str


EXEMPT: Sequence[Exempt] = ()


@dataclass(slots=True)
class Verdict:
    """What schemathesis said, and what of it arrived."""

    ended: str
    """"completed", or why it broke off."""
    text: str
    """Its own words, with a command line for each finding."""
    tested: int = 0
    operations: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    """Failures by check, "errors" for what it could not judge."""
    arrived: Counter[str] = field(default_factory=Counter)
    """Requests by phase, as the server counted them."""
    statuses: Counter[int] = field(default_factory=Counter)


def config_text(door: Mapping[str, Sequence[str]], seed: int, examples: int, scenarios: int) -> str:
    """schemathesis.toml. `door` is what may stand in each path parameter besides made-up texts."""
    off = "".join(f"[checks.{name}]\nenabled = false\n" for name in LEFT_OUT)
    known = "".join(
        f"[dictionaries.{name}]\nvalues = {json.dumps(list(values))}\n" for name, values in door.items()
    )
    named = ", ".join(f'"path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}' for name in door)
    exempt = "".join(
        f"[[operations]]\ninclude-path-regex = {json.dumps(each.path)}\n"
        f"checks = {{ {each.check} = {{ enabled = false }} }}\n"
        for each in EXEMPT
    )
    return f"""
seed = {seed}
headers = {{ Authorization = "Bearer ${{FUZZ_TEST_KEY}}" }}
max-redirects = 0
request-timeout = 90.0
continue-on-failure = true
workers = 1
color = false
warnings = false
hooks = "tests.access.schemathesis_files"
parameters = {{ {named} }}
[cache]
enabled = false
[generation]
database = "none"
no-shrink = true
max-examples = {examples}
[phases.stateful.generation]
max-examples = {scenarios}
{off}{known}
[[operations]]
include-path-regex = "^/v1/(admin/|webhooks/secret$)"
headers = {{ Authorization = "Bearer ${{FUZZ_LIVE_KEY}}" }}
{exempt}"""


async def judge(
    python: str, running: Running, door: Door, config: str, *only: str, phases: Sequence[str] = PHASES
) -> Verdict:
    """Have schemathesis attack the gateway. `only` are further options of its command line."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "config.toml").write_text(config, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(python, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", str(place / "config.toml"), "run", str(_DOCUMENT), "--url", running.base_url),
            *("--phases", ",".join(phases), "--checks", ",".join(CHECKS), "--report", "ndjson,json"),
            *("--report-ndjson-path", str(place / "events"), "--report-json-path", str(place / "summary")),
            *only,
            # It keeps what it learned in the folder it is started in; the code is found by its path.
            cwd=place,
            env=_environment(running),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return read_verdict(said.decode(), place / "summary", place / "events", door)


def _environment(running: Running) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    keys = {"FUZZ_TEST_KEY": running.keys.test, "FUZZ_LIVE_KEY": running.keys.live}
    return {**kept, **keys, "PYTHONPATH": str(_ROOT)}


def read_verdict(text: str, summary: Path, events: Path, door: Door) -> Verdict:
    """What its two reports say. Without them it judged nothing."""
    if not summary.is_file() or not events.is_file():
        return Verdict("it wrote no report", text)
    told = json.loads(summary.read_bytes())
    verdict = Verdict(
        "completed" if told["complete"] else f"broke off: {told['stop_reason']}",
        text,
        told["operations"]["tested"],
        told["operations"]["total"],
        statuses=door.statuses,
    )
    phase_of: dict[str, str] = {}
    with events.open(encoding="utf-8") as lines:
        for line in lines:
            ((kind, event),) = json.loads(line).items()
            if kind == "ScenarioFinished":
                _read_scenario(event, verdict, phase_of)
            elif kind in ("NonFatalError", "FatalError"):
                verdict.findings["errors"] += 1
    for case, times in door.cases.items():
        verdict.arrived[phase_of.get(case, "probes")] += times
    return verdict


def _read_scenario(event: Mapping[str, Any], verdict: Verdict, phase_of: dict[str, str]) -> None:
    for case in event["recorder"].get("interactions", {}):
        phase_of[case] = event["phase"]
    for checks in event["recorder"].get("checks", {}).values():
        verdict.findings.update(check["name"] for check in checks if check["status"] == "failure")


def figures(verdict: Verdict, seconds: float) -> list[Figure]:
    """The table of a whole run."""
    sent = sum(verdict.arrived.values())
    by_phase = ", ".join(f"{verdict.arrived[phase]:,} {phase}" for phase in (*PHASES, "probes"))
    every = all(verdict.arrived[phase] for phase in PHASES)
    statuses = " ".join(f"{status}:{times}" for status, times in sorted(verdict.statuses.items()))
    return [
        Figure("run", f"{verdict.ended}, {seconds:.0f} s", verdict.ended == "completed"),
        Figure("requests that arrived", f"{sent:,}: {by_phase}", every),
        Figure("answers", statuses, bool(verdict.statuses)),
        Figure(
            "operations tested",
            f"{verdict.tested} of {verdict.operations}",
            0 < verdict.operations == verdict.tested,
        ),
        *(Figure(check, f"{verdict.findings[check]}", not verdict.findings[check]) for check in CHECKS),
        Figure("not judged for errors", f"{verdict.findings['errors']}", not verdict.findings["errors"]),
    ]


def _reasons() -> list[str]:
    return [
        *(f"left out: {check}: {why}" for check, why in LEFT_OUT.items()),
        *(f"left out: {each.check} on {each.path}: {each.why}" for each in EXEMPT),
    ]


@contextlib.asynccontextmanager
async def open_gateway(door: Door) -> AsyncIterator[Running]:
    """A whole gateway, its worker included, that can reach nothing but a stand-in of an engine."""
    home = make_folder()
    try:
        async with campaign_database() as dsn, FakeOpenAIVideos() as engine:
            egress = Egress(resolver=Nowhere(), trusted_origins={"openai_videos": [engine.base_url]})
            options = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
            # A request may wait for the end of a job: they should not stand in a line.
            options |= {"rate_limit_per_minute": "1000000", "sandbox_in_flight": "64"}
            async with running_gateway(
                dsn, home, door.around, works=True, egress=egress, **options
            ) as running:
                door.key = running.keys.test
                await running.gateway.pool.execute(_KEEP_KEYS)
                yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


#: Of the keys that are listed it revokes some; were its own among them, all else would be answered by 401.
_KEEP_KEYS = """
create function keep_key() returns trigger language plpgsql as 'begin return old; end';
create trigger keep_key before update on api_keys for each row when (old.name like 'first % key')
  execute function keep_key();
"""


async def known_things(running: Running) -> dict[str, Sequence[str]]:
    """What a made-up text would never hit: a clip, a poster, a picture, a late result, a delivery."""
    test = running.keys.test
    job = await running.ended({"model": "wan-2-1-t2v", "prompt": "a dog"}, key=test)
    png = {"Content-Type": "image/png"}
    picture = await running.call("POST", "/v1/files", PHOTO, key=test, headers=png)
    urls = (job["url"], job["metadata"]["poster_url"], picture.json["url"])
    account = await running.gateway.accounts.find("default")
    await running.grant(10**15)
    pool, ended = running.gateway.pool, (await running.call("GET", f"/v1/jobs/{job['id']}", key=test)).body
    await pool.execute("insert into late_results (job_id, body) values ($1, $2)", job["id"], ended)
    sent = await running.call("POST", "/v1/webhooks/test", {"url": HOOK}, key=test)
    return {
        "delivery_id": [sent.json["id"]],
        "key": [*(str(url).rpartition("/media/")[2] for url in urls), "wan-2-1-t2v"],
        "job_id": [job["id"]],
        "account_id": [account.id],
        "provider": ["openai_videos"],
        "provider_name": ["openai_videos"],
    }


async def plant(python: str, running: Running, door: Door, fault: Fault, seed: int) -> Verdict:
    """A small attack on a server that is wrong in this way."""
    door.fault = fault
    try:
        return await judge(
            *(python, running, door, config_text({}, seed, 20, 60)),
            *("--include-path-regex", fault.path),
            phases=[fault.phase],
        )
    finally:
        door.fault = None


async def run(told: argparse.Namespace) -> int:
    """All of it, printed; 1 when a figure does not hold."""
    door = Door()
    async with open_gateway(door) as running:
        if told.plant is not None:
            fault = next(each for each in FAULTS if each.name == told.plant)
            verdict = await plant(told.venv, running, door, fault, told.seed)
            sys.stdout.write(verdict.text)
            found = verdict.findings[fault.check]
            return report([Figure(fault.check, f"{found} times: {fault.name}", not found)])
        config = config_text(await known_things(running), told.seed, told.examples, told.scenarios)
        door.cases.clear()
        door.statuses.clear()
        began = time.monotonic()
        verdict = await judge(told.venv, running, door, config)
        table = figures(verdict, time.monotonic() - began)
        if not all(figure.holds for figure in table):
            sys.stdout.write(verdict.text)
        missed = [
            fault.name
            for fault in FAULTS
            if not (await plant(told.venv, running, door, fault, told.seed)).findings[fault.check]
        ]
    said = f"{len(FAULTS) - len(missed)} of {len(FAULTS)} {', '.join(missed)}".strip()
    return report(
        [*table, Figure("planted faults found", said, not missed)], *_reasons(), f"seed {told.seed}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venv", required=True, help="python of a venv with schemathesis-requirements.txt")
    parser.add_argument("--examples", type=int, default=300, help="made-up requests for each operation")
    parser.add_argument(
        "--scenarios", type=int, default=300, help="rows of requests that build on each other"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", choices=[fault.name for fault in FAULTS], help="one fault alone")
    told = parser.parse_args(arguments)
    configure_logging("error", "console")
    return asyncio.run(run(told))


if __name__ == "__main__":
    sys.exit(main())
