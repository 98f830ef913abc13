"""The examples of the documents work, as they stand but for the key and the address."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, all_blocks, blocks
from tests.gateway.running import Answer, Running

ADDRESS = "http://127.0.0.1:8787"
RUNNABLE = [block for block in all_blocks("python") if block.runnable]
README = blocks(ROOT / "README.md", "python")
#: Stand for ids of yours; a fresh server has none of them.
NAMES_OF_YOURS = ("JOB_ID", "KEY_ID")


def typed_calls() -> list[Block]:
    """Every curl of the documents, one block each."""
    return [
        Block(block.page, block.line, "sh", command, runnable=True)
        for block in all_blocks("sh")
        for command in commands_of(block.text)
        if command.startswith("curl ")
    ]


def commands_of(text: str) -> list[str]:
    """The commands of a shell block: lines, joined where they go on, or where a quotation is open."""
    commands = [""]
    for line in text.replace("\\\n", " ").splitlines():
        commands[-1] += f"{line}\n"
        try:
            shlex.split(commands[-1], comments=True)
        except ValueError:
            continue
        commands.append("")
    return commands


def test_there_are_examples() -> None:
    """There is something to try: a README with Python, guides with Python, pages with curl."""
    assert len(README) == 1
    assert len(RUNNABLE) >= 3
    assert len(typed_calls()) >= 5


@pytest.mark.parametrize("block", [*README, *RUNNABLE], ids=lambda block: block.where)
async def test_a_python_example_runs(block: Block, gateway: Running, tmp_path: Path) -> None:
    """The block runs to its end on a fresh server with a test key, and prints no complaint."""
    environment = os.environ | {
        "FAIRSTACK_BASE_URL": gateway.base_url,
        "FAIRSTACK_API_KEY": gateway.keys.test,
        "FAIRSTACK_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / "src"),
    }
    code = block.text.replace("fs_test_YOUR_KEY", gateway.keys.test)
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", code,
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await asyncio.wait_for(run.communicate(), 60)
    assert (run.returncode, complained.decode()) == (0, ""), said.decode()


@pytest.mark.parametrize("block", typed_calls(), ids=lambda block: block.where)
async def test_a_curl_works(block: Block, gateway: Running) -> None:
    """The call is answered with success by a fresh server; one about a thing of yours, that there is none."""
    answer = await call(block.text, gateway)
    expected = (404,) if any(name in path_of(block.text) for name in NAMES_OF_YOURS) else (200, 201, 202)
    assert answer.status in expected, answer.body


def path_of(line: str) -> str:
    """The path and query that a curl names."""
    (url,) = [word for word in shlex.split(line, comments=True) if word.startswith("http")]
    return url.removeprefix(ADDRESS).split("?job=")[0]


async def call(line: str, gateway: Running) -> Answer:
    """Do what curl does with this line, with the test key; an operator's call with the live one."""
    words = shlex.split(line, comments=True)
    given = dict(pairwise(words))
    sent = [after for word, after in pairwise(words) if word == "-H"]
    headers = dict(header.split(": ", 1) for header in sent)
    ours = gateway.keys.live if "/v1/admin/" in line else gateway.keys.test
    key = ours if headers.pop("Authorization", "") else ""
    body = given["-d"].encode() if "-d" in given else None
    if body is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    method = given.get("-X", "GET" if body is None else "POST")
    (url,) = [word for word in words if word.startswith(ADDRESS)]
    return await gateway.call(method, url.removeprefix(ADDRESS), body, key=key, headers=headers)
