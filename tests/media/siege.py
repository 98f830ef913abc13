"""The corpus of hostile files against a whole server."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.campaigns import Figure
from tests.media.besieged import Besieged, Sent, besieged_server
from tests.media.clean import sides_of
from tests.media.conftest import encoded, make_clip
from tests.media.hostile import PAYLOAD, photo
from tests.media.tally import Plan, Tally, growth
from tests.media.watched import Watch, name_of
from tests.recordings import wav


async def siege(plan: Plan, tally: Tally, watch: Watch) -> list[Figure]:
    """The corpus against a whole server: every file is taken clean or refused with a code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = [sys.executable, "-m", "tests.media.hostile", folder, str(plan.every)]
        maker = await asyncio.create_subprocess_exec(*made, stderr=asyncio.subprocess.DEVNULL)
        if await maker.wait():
            raise RuntimeError("the corpus could not be made")
        rows: list[list[str]] = json.loads((Path(folder) / "corpus.json").read_text())
        async with besieged_server(watch) as server:
            before = await _warmed(server)
            watch.take()
            answers: Counter[str] = Counter()
            # Pictures and recordings have a child each, so that neither waits for the other.
            lanes: dict[bool, list[int]] = {True: [], False: []}
            for number, row in enumerate(rows):
                if plan.number in (None, number):
                    lanes[row[2].startswith("image/")].append(number)
            await asyncio.gather(
                *(_lane(lane, rows, Path(folder), server, tally, answers) for lane in lanes.values())
            )
            tally.collect(watch)
            served = server.alive and await _still_serves(server)
            grown = server.resident_bytes - before
    families = Counter(row[0] for row in rows)
    return [
        Figure(
            "corpus",
            f"{len(rows):,} files of {len(families)} families in {time.monotonic() - began:.0f} s",
            len(rows) >= 300 // plan.every,
        ),
        Figure("answers", ", ".join(f"{count:,} {what}" for what, count in answers.most_common())),
        Figure("server", "lives and serves" if served else "IS GONE OR DEAF", served),
        growth("memory of the server", grown),
    ]


async def _lane(
    numbers: list[int],
    rows: list[list[str]],
    folder: Path,
    server: Besieged,
    tally: Tally,
    answers: Counter[str],
) -> None:
    for number in numbers:
        family, name, declared, expected = rows[number]
        data = (folder / str(number)).read_bytes()
        tally.names[name_of(data)] = f"{family}, {name}"
        sent = await server.upload(data, declared)
        tally.took(sent.seconds, f"{family}, {name}")
        code = "taken" if sent.status == 201 else _code_of(sent)
        answers[f"{sent.status} {code}"] += 1
        wrong = await _wrong_answer(server, sent, declared, expected)
        if wrong is not None:
            tally.fault("siege", number, f"{family}, {name}: {wrong}")


async def _wrong_answer(server: Besieged, sent: Sent, declared: str, expected: str) -> str | None:
    """What is wrong with the answer to a file, if anything is."""
    if sent.status != 201:
        if not (400 <= sent.status < 500 and _code_of(sent) and sent.json["error"]["message"]):
            return f"answered {sent.status} {sent.json}"
        return f"refused: {sent.json['error']['message']}" if expected == "taken" else None
    if expected == "refused":
        return f"taken as {sent.json}"
    kept = await server.kept(sent)
    if (len(kept), hashlib.sha256(kept).hexdigest()) != (sent.json["bytes"], sent.json["sha256"]):
        return "what is kept is not what was told"
    if sent.json["content_type"].startswith("image/"):
        try:
            sides = sides_of(kept)
        except ValueError as error:
            return str(error)
        return None if sides == (sent.json["width"], sent.json["height"]) else f"{sides} told as {sent.json}"
    return "a payload has survived" if declared.startswith("video/") and PAYLOAD in kept else None


def _code_of(sent: Sent) -> str:
    return str(sent.json["error"]["code"]) if sent.json and "error" in sent.json else ""


async def _warmed(server: Besieged) -> int:
    """The server's memory after it has served honest files of every kind, small and large."""
    large = photo(1500, 1000)
    for data, declared in (
        (encoded(large, "PNG"), "image/png"),
        (encoded(large, "JPEG", quality=95), "image/jpeg"),
        (make_clip(audio=True), "video/mp4"),
        (wav(400), "audio/wav"),
    ) * 3:
        sent = await server.upload(data, declared)
        if sent.status != 201:
            raise RuntimeError(f"an honest {declared} was refused: {sent.json}")
    return server.resident_bytes


async def _still_serves(server: Besieged) -> bool:
    honest = [(encoded(photo(64, 48), "PNG"), "image/png"), (make_clip(), "video/mp4"), (wav(1), "audio/wav")]
    return all([(await server.upload(data, declared)).status == 201 for data, declared in honest])
