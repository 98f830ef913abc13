"""What the server owes to clients that meet the faults of spec/faults: the same answer again, one job."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

import pytest

from fairstack_server.api.openapi import STATUS_OF_CODE
from tests.faults import SUBMIT, Fault, read_faults
from tests.gateway.running import Answer, Running

FAULTS = read_faults()
LOST = [fault for fault in FAULTS if fault.loses_the_answer]
TOLD = [fault for fault in FAULTS if fault.act.headers.get("Content-Type") == "application/json"]
METHOD, PATH = SUBMIT
#: Refused by the stand-in provider at once: the cheapest whole job.
ORDER = {"model": "wan-2-1-t2v", "prompt": "test:refused"}


def by_name(fault: Fault) -> str:
    """The fault's name, for that of its test."""
    return fault.name


def test_there_are_faults_for_the_server() -> None:
    """Answers are lost in several ways, and several of the server's own errors are acted."""
    assert len(LOST) >= 8
    assert len(TOLD) >= 4


@pytest.mark.parametrize("fault", LOST, ids=by_name)
async def test_an_answer_that_was_lost_is_given_again(gateway: Running, fault: Fault) -> None:
    """However often the client has to send the order, it is told the same job, and there is one."""
    key, order = secrets.token_hex(8), {**ORDER, "tags": {"fault": secrets.token_hex(8)}}
    tries = fault.ends.submits + (fault.ends.resume == "submit")
    answers = [await submit(gateway, order, key) for _ in range(tries)]
    assert [answer.status for answer in answers] == [202] * tries
    assert len({answer.body for answer in answers}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers[1:]] == ["true"] * (tries - 1)
    assert await booked(gateway, order) == fault.ends.jobs == 1


@pytest.mark.parametrize("taken", [False, True], ids=["at once", "when the order is in the books"])
async def test_a_client_that_hangs_up_gets_the_job_when_it_comes_back(gateway: Running, taken: bool) -> None:
    """A connection reset before its answer was read leaves one job; the same order again is told of it."""
    key, order = secrets.token_hex(8), {**ORDER, "tags": {"fault": secrets.token_hex(8)}}
    await hang_up(gateway, order, key, taken=taken)
    while (again := await submit(gateway, order, key)).status == 409:
        assert again.json["error"]["code"] == "idempotency_in_flight"
        await asyncio.sleep(0.01)
    assert again.status == 202
    assert await booked(gateway, order) == 1
    assert (await gateway.wait(again.json["id"], key=gateway.keys.test))["status"] == "failed"


@pytest.mark.parametrize("fault", TOLD, ids=by_name)
async def test_errors_that_are_acted_are_errors_of_the_server(gateway: Running, fault: Fault) -> None:
    """An error that a fault has the server say is one that it can say: code, status and shape."""
    error = json.loads(fault.act.body)["error"]
    assert STATUS_OF_CODE[error["code"]] == fault.act.status == error["status"]
    real = (await gateway.call("GET", "/v1/jobs/job_000000000000000000000000")).json["error"]
    assert list(error) == list(real)
    operation: Any = gateway.conformity.document["paths"][PATH][METHOD.lower()]
    assert f"`{error['code']}`" in operation["responses"][str(fault.act.status)]["description"]


async def submit(gateway: Running, order: dict[str, Any], key: str) -> Answer:
    """POST the order under its key."""
    return await gateway.call(METHOD, PATH, order, key=gateway.keys.test, headers={"Idempotency-Key": key})


async def booked(gateway: Running, order: dict[str, Any]) -> int:
    """How many jobs with the order's tag are in the books."""
    items = (await gateway.call("GET", "/v1/jobs?limit=100", key=gateway.keys.test)).json["items"]
    return sum(item.get("tags") == order["tags"] for item in items)


async def hang_up(gateway: Running, order: dict[str, Any], key: str, *, taken: bool) -> None:
    """Send the whole order, and reset the connection without reading a byte of the answer."""
    address = urlsplit(gateway.base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps(order).encode()
    head = (
        f"{METHOD} {PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {gateway.keys.test}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    while taken and await booked(gateway, order) == 0:
        await asyncio.sleep(0.01)
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
