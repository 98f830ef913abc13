"""The confined child: loads the decoders once, then forks one bare process for every file it is given.

The one that stays never looks at a byte of a file. The forked one gives up all rights, decodes one file and
ends, so nothing that a file does to it can reach the next file. A frame on the pipes is 4 bytes of length
and a JSON head, then 8 bytes of length and a body.

A task that signs may put one question to the server before it answers: the key stays there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from fairstack_server.media.confine import confine, confinement

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 128 * 1024 * 1024
_MEMORY_BYTES = 448 * 1024 * 1024

#: What the server is asked to sign is a few hundred bytes; so is what it answers.
MAX_QUESTION_BYTES = 64 * 1024

Head = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """One file to work on, as the process that does it sees it."""

    head: Head
    body: bytes
    file: BinaryIO | None
    """The file that `path` in the head names, open for reading."""
    out: BinaryIO | None
    """The new file that `out` in the head names, open for reading and writing."""
    ask: Callable[[bytes], bytes]
    """Put the one question of a task that `asks`."""


Task = Callable[[Work], tuple[Head, bytes]]


def main(kind: str) -> None:
    """Serve requests of one kind (`_load`) from standard input until it ends."""
    task = _load(kind)
    _write_frame(1, {"ready": True, "confinement": confinement()}, b"")
    while (request := _read_request()) is not None:
        head, body = request
        answer = _run_forked(task, head, body)
        _write_bytes(1, answer or pack_frame({"died": True}, b""))


def pack_frame(head: Head, body: bytes) -> bytes:
    """One frame as it goes over a pipe."""
    return frame_start(head, len(body)) + body


def frame_start(head: Head, body_bytes: int) -> bytes:
    """What of a frame comes before a body of so many bytes."""
    text = json.dumps(head).encode()
    return struct.pack(">I", len(text)) + text + struct.pack(">Q", body_bytes)


#: How a question begins: its head, which nobody has to read.
_QUESTION = pack_frame({"question": True}, b"")[:-8]


def _load(kind: str) -> Task:
    if kind == "image":
        from fairstack_server.media import pictures

        pictures.warm_up()
        return _decode_picture
    if kind == "recording":
        from fairstack_server.media import recordings

        recordings.warm_up()
        return _measure_recording
    if kind == "origin":
        from fairstack_server.media import signing

        signing.warm_up()
        return _sign_or_read
    from fairstack_server.media import frames

    frames.warm_up()
    return _make_poster


def _decode_picture(work: Work) -> tuple[Head, bytes]:
    from fairstack_server.media.pictures import Framing, ImageRefused, clean_picture

    ratio = tuple(work.head["ratio"]) if work.head["ratio"] else None
    try:
        image = clean_picture(work.body, Framing(ratio, work.head["max_side"]))
    except ImageRefused as refusal:
        return {"refused": refusal.reason}, b""
    facts = {
        field.name: getattr(image, field.name) for field in dataclasses.fields(image) if field.name != "data"
    }
    return facts, image.data


def _make_poster(work: Work) -> tuple[Head, bytes]:
    from fairstack_server.media.frames import NoFrame, poster_jpeg

    assert work.file is not None
    try:
        return {}, poster_jpeg(work.file, work.head["max_width"])
    except NoFrame as failure:
        return {"refused": failure.reason}, b""


def _measure_recording(work: Work) -> tuple[Head, bytes]:
    from fairstack_server.media.recordings import RecordingRefused, measure_clip, measure_sound

    assert work.file is not None
    head = work.head
    measure = measure_clip if head["kind"] == "clip" else measure_sound
    try:
        return dataclasses.asdict(measure(work.file, head["content_type"], head["longest_seconds"])), b""
    except RecordingRefused as refusal:
        return {"refused": refusal.reason}, b""


def _sign_or_read(work: Work) -> tuple[Head, bytes]:
    from fairstack_server.media.signing import NotSigned, read_origin, sign_clip

    assert work.file is not None
    if work.out is None:
        is_sound, upstream = read_origin(work.file)
        return {"is_sound": is_sound, "upstream": upstream}, b""
    head = work.head
    try:
        upstream = sign_clip(work.file, work.out, head["origin"], head["chain"], head["algorithm"], work.ask)
    except NotSigned as failure:
        return {"refused": failure.reason}, b""
    return {"upstream": upstream}, b""


def _run_forked(task: Task, head: Head, body: bytes) -> bytes | None:
    """The frame that a confined process answers with; None when it died, lied or took too long."""
    reading, writing = os.pipe()
    hearing, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(telling)
        _work_and_exit(task, head, body, writing, hearing)
    os.close(writing)
    os.close(hearing)
    try:
        return _collect(reading, telling if head.get("asks") else None, time.monotonic() + head["seconds"])
    finally:
        os.close(reading)
        os.close(telling)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work_and_exit(task: Task, head: Head, body: bytes, writing: int, hearing: int) -> None:
    def ask(question: bytes) -> bytes:
        _write_bytes(writing, _QUESTION + struct.pack(">Q", len(question)) + question)
        return os.read(hearing, MAX_QUESTION_BYTES)

    try:
        file = open(head["path"], "rb", buffering=0) if "path" in head else None  # noqa: SIM115, PTH123
        out = open(head["out"], "x+b", buffering=0) if "out" in head else None  # noqa: SIM115, PTH123
        for inherited in (0, 1, 2):
            os.close(inherited)
        confine(
            memory_bytes=head.get("memory_bytes", _MEMORY_BYTES),
            cpu_seconds=head.get("cpu_seconds", max(1, round(head["seconds"]))),
            file_bytes=head.get("out_bytes", 0),
        )
        _write_bytes(writing, pack_frame(*task(Work(head, body, file, out, ask))))
    finally:
        os._exit(0)


def _collect(reading: int, telling: int | None, deadline: float) -> bytes | None:
    """The answer's frame; on the way the one question of a task that may ask, passed on and answered."""
    answer = bytearray()
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        chunk = os.read(reading, 1 << 20)
        if not chunk:
            return bytes(answer) if _is_whole(answer) else None
        answer += chunk
        if telling is not None and _is_question(answer):
            _write_bytes(1, bytes(answer))
            reply = _read_request()
            if reply is None:
                return None
            with contextlib.suppress(BrokenPipeError):  # it died over the question; its silence says so
                _write_bytes(telling, reply[1])
            telling = None
            answer.clear()
        if len(answer) > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            return None


def _is_question(frame: bytearray) -> bool:
    return frame.startswith(_QUESTION) and len(frame) <= MAX_QUESTION_BYTES and _is_whole(frame)


def _is_whole(frame: bytearray) -> bool:
    if len(frame) < 4:
        return False
    (head,) = struct.unpack_from(">I", frame)
    if head > MAX_HEAD_BYTES or len(frame) < 4 + head + 8:
        return False
    (body,) = struct.unpack_from(">Q", frame, 4 + head)
    return len(frame) == 4 + int(head) + 8 + int(body)


def _read_request() -> tuple[Head, bytes] | None:
    size = _read_bytes(4)
    if size is None:
        return None
    text = _read_bytes(struct.unpack(">I", size)[0])
    length = _read_bytes(8)
    if text is None or length is None:
        return None
    body = _read_bytes(struct.unpack(">Q", length)[0])
    return None if body is None else (json.loads(text), body)


def _read_bytes(length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        chunk = os.read(0, length - len(data))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def _write_frame(fd: int, head: Head, body: bytes) -> None:
    _write_bytes(fd, pack_frame(head, body))


def _write_bytes(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


if __name__ == "__main__":
    main(sys.argv[1])
