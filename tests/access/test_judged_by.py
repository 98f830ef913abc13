"""What is read out of schemathesis' reports fails when it should; the planted faults really are faults.

That schemathesis itself finds them is shown by each `make fuzz`: it is not installed beside our tests.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from tests.access.door import FAULTS, Door, Fault
from tests.access.judged_by import CHECKS, EXEMPT, LEFT_OUT, PHASES, config_text, figures, judge, read_verdict
from tests.gateway.pictures import PHOTO
from tests.gateway.running import Running, running_gateway


def _reports(folder: Path, *, failed: str | None = None, **summary: Any) -> tuple[Path, Path]:
    told = {"complete": True, "stop_reason": "completed", "operations": {"tested": 2, "total": 2}, **summary}
    events = [
        {
            "ScenarioFinished": {
                "phase": phase,
                "recorder": {
                    "interactions": {phase: {}},
                    "checks": {
                        phase: [
                            {"name": name, "status": "failure" if name == failed else "success"}
                            for name in CHECKS
                        ]
                    },
                },
            }
        }
        for phase in PHASES
    ]
    (folder / "summary").write_text(json.dumps(told), "utf-8")
    (folder / "events").write_text("\n".join(map(json.dumps, events)), "utf-8")
    return folder / "summary", folder / "events"


def _door() -> Door:
    door = Door()
    door.cases.update(dict.fromkeys(PHASES, 2))
    door.statuses[200] = 8
    return door


def _wrong(folder: Path, door: Door | None = None, **told: Any) -> list[str]:
    verdict = read_verdict("", *_reports(folder, **told), door or _door())
    return [figure.what for figure in figures(verdict, 1.0) if not figure.holds]


def test_a_clean_report_holds(tmp_path: Path) -> None:
    """All operations, no finding, requests of every phase."""
    assert _wrong(tmp_path) == []


@pytest.mark.parametrize("check", CHECKS)
def test_a_finding_does_not_hold(tmp_path: Path, check: str) -> None:
    """Of any check, in any phase."""
    assert _wrong(tmp_path, failed=check) == [check]


def test_a_run_that_judged_less_does_not_hold(tmp_path: Path) -> None:
    """Broken off, operations left out, a phase of which nothing arrived, no report at all."""
    assert _wrong(tmp_path, complete=False) == ["run"]
    assert _wrong(tmp_path, operations={"tested": 1, "total": 2}) == ["operations tested"]
    silent = _door()
    del silent.cases["stateful"]
    assert _wrong(tmp_path, silent) == ["requests that arrived"]
    nothing = read_verdict("", tmp_path / "none", tmp_path / "none", Door())
    assert {"run", "requests that arrived", "operations tested"} <= {
        figure.what for figure in figures(nothing, 1.0) if not figure.holds
    }


def test_every_check_has_its_fault_and_every_gap_its_reason() -> None:
    """No check is listed that nothing shows to work; none is left out of the settings in silence."""
    assert {fault.check for fault in FAULTS} == {*CHECKS}
    assert not {*CHECKS} & {*LEFT_OUT}
    told = tomllib.loads(config_text({"key": ["a"]}, 7, 3, 4))
    assert told["seed"] == 7
    assert set(told["checks"]) == set(LEFT_OUT)
    assert all(LEFT_OUT.values())
    assert all(each.why for each in EXEMPT)


@pytest.fixture(scope="module")
def door() -> Door:
    """Between the gateway of this module and its callers."""
    return Door()


@pytest.fixture(scope="module")
async def behind(door: Door, module_database: Dsn, tmp_path_factory: Any) -> AsyncIterator[Running]:
    """A gateway behind that door."""
    home = tmp_path_factory.mktemp("home")
    async with running_gateway(module_database, home, door.around, works=False) as running:
        door.key = running.keys.test
        yield running


async def _asked(behind: Running) -> list[str]:
    """What is wrong with a few plain answers, by the document."""
    wrong = []
    for method, path, body, key in (
        ("GET", "/v1/credits", None, behind.keys.test),
        ("POST", "/v1/api-keys", {"name": 7}, behind.keys.test),
    ):
        try:
            await behind.call(method, path, body, key=key)
        except (AssertionError, KeyError) as error:
            wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_planted_fault_is_one(behind: Running, door: Door, fault: Fault) -> None:
    """The door changes nothing, and then exactly what it says."""
    assert await _asked(behind) == []
    png = {"Content-Type": "image/png"}
    file = (await behind.call("POST", "/v1/files", PHOTO, key=behind.keys.test, headers=png)).json["id"]
    door.fault = fault
    try:
        assert await _is_wrong(behind, fault, file)
    finally:
        door.fault = None


async def _is_wrong(behind: Running, fault: Fault, file: str) -> bool:
    async def status(method: str, path: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with behind.http.request(method, behind.base_url + path, headers=headers) as answer:
            await answer.read()
            return answer.status

    key, place = behind.keys.test, f"/v1/files/{file}"
    match fault.check:
        case "not_a_server_error":
            return await status("GET", "/v1/credits", key) == 500
        case "ignored_auth" | "missing_required_header":
            return await status("GET", "/v1/credits", "") == 200
        case "unsupported_method":
            return await status("PATCH", "/v1/credits", key) == 200
        case "allow_header_conformance":
            async with behind.http.options(behind.base_url + "/v1/api-keys") as answer:
                return answer.headers["Allow"] == "GET, OPTIONS"
        case "use_after_free":
            found = [await status(method, place, key) for method in ("GET", "DELETE", "GET")]
            return found == [200, 204, 200]
        case "ensure_resource_availability":
            return await status("GET", place, key) == 404
        case _:
            return bool(await _asked(behind))


async def test_a_python_without_schemathesis_judges_nothing(behind: Running, door: Door) -> None:
    """It is no clean run, and says why."""
    verdict = await judge(sys.executable, behind, door, config_text({}, 1, 1, 1))
    assert verdict.ended == "it wrote no report"
    assert "schemathesis" in verdict.text
    assert not all(figure.holds for figure in figures(verdict, 1.0))
