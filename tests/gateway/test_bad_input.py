"""Bad input: a clear error at once, nothing stored, nothing held."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.detour import PUBLIC, Detour, serving
from tests.gateway.pictures import HTML, PHOTO, SVG, bomb, data_url
from tests.gateway.running import VIDEO, Running, running_gateway

WAN: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "a dog"}
KLING: dict[str, Any] = {"model": "kling-2-1-std-i2v", "prompt": "a dog"}
GENEROUS_SECONDS = 5.0
"""The promise is a second on an idle machine; each test prints what it took."""


@pytest.fixture(scope="module")
async def gateway(module_database: Dsn) -> AsyncIterator[Running]:
    """A gateway to which `PUBLIC` is a host of pictures, good and bad; without a worker, nothing moves."""
    home = make_folder()
    pages = {
        "/svg": (200, "image/svg+xml", SVG),
        "/html-as.png": (200, "image/png", HTML),
        "/moved-inside": (302, "text/plain", b"http://169.254.169.254/latest/meta-data/"),
        "/photo.png": (200, "image/png", PHOTO),
    }
    async with (
        serving(pages) as origin,
        running_gateway(
            module_database, home, works=False, rate_limit_per_minute="5000", egress=Detour(origin)
        ) as running,
    ):
        yield running
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def huge_picture() -> str:
    """900 megapixels in about 100 KB, as a data: URL."""
    return data_url(bomb())


TABLES = ["jobs", "files", "idempotency_keys", "ledger_transactions", "job_events", "pgqueuer"]
STORED = "select " + ", ".join(f"(select count(*) from {table}) as {table}" for table in TABLES)
MONEY = "select account_id, mode, available_micros, held_micros from wallets order by 1, 2"


async def everything_stored(gateway: Running) -> tuple[Any, ...]:
    """Rows, files and money: what a refused request must leave as it is."""
    pool, media = gateway.gateway.pool, gateway.gateway.settings.home / "media"
    files = sorted(str(path) for path in media.rglob("*") if path.is_file())
    return (dict(await pool.fetchrow(STORED)), files, [tuple(row) for row in await pool.fetch(MONEY)])


async def refuse(gateway: Running, body: Any, code: str, param: str | None, status: int = 400) -> str:
    """Send a body with either key: the one error, quickly, and nothing has changed. Gives its message."""
    before = await everything_stored(gateway)
    message = ""
    for key in (gateway.keys.live, gateway.keys.test):
        headers = {"Idempotency-Key": "bad-input"}
        started = time.perf_counter()
        answer = await gateway.call("POST", VIDEO, body, key=key, headers=headers)
        seconds = time.perf_counter() - started
        sys.stdout.write(f"{seconds:.3f} s\n")
        if answer.status == 503 and key == gateway.keys.live:
            continue  # where no provider is configured, a live picture is not even looked at
        assert answer.status == status, answer.body
        error = answer.json["error"]
        assert (error["code"], error.get("param")) == (code, param), error
        assert len(answer.body) < 4000
        assert seconds < GENEROUS_SECONDS
        message = error["message"]
    assert await everything_stored(gateway) == before
    return message


NOT_JSON = [
    b"",
    b" ",
    b"{",
    b"model=wan-2-1-t2v",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"\x00" * 100,
    b"[]",
    b'"text"',
    b"null",
    b"1" * 1_000_000,
    b"[" * 1_000_000,
    b'{"model":' * 100_000,
    b'{"model":"wan-2-1-t2v","prompt":"\\ud800"}',
    b'{"model":"wan-2-1-t2v","prompt":"a","duration":NaN}',
    b'{"model":"wan-2-1-t2v","prompt":"a","duration":Infinity}',
    b'{"model":"wan-2-1-t2v","prompt":"a","duration":-Infinity}',
    b'{"model":"wan-2-1-t2v","prompt":"a","duration":1e400}',
    b'{"model":"wan-2-1-t2v","prompt":"a","duration":5,}',
    b"{'model':'wan-2-1-t2v','prompt':'a'}",
    b'{"model":"wan-2-1-t2v","prompt":"\xff"}',
    b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
]


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: body[:24].decode("latin-1"))
async def test_what_is_no_json_object_is_refused(gateway: Running, body: bytes) -> None:
    """A body that is no JSON object of sane depth is a 400 that says so."""
    assert "body" in await refuse(gateway, body, "validation_error", None)


FIELDS: list[tuple[str, dict[str, Any], str | None]] = [
    ("model of a wrong type", {"model": 5}, "model"),
    ("model null", {"model": None}, "model"),
    ("prompt missing", {"prompt": None}, "prompt"),
    ("prompt empty", {"prompt": ""}, "prompt"),
    ("prompt of blanks", {"prompt": "  \n "}, "prompt"),
    ("prompt a list", {"prompt": ["a"]}, "prompt"),
    ("prompt with NUL", {"prompt": "a\0b"}, "prompt"),
    ("prompt of 30,000 characters", {"prompt": "x" * 30_000}, "prompt"),
    ("prompt of 1 MB", {"prompt": "x" * 1_000_000}, "prompt"),
    ("duration as text", {"duration": "5"}, "duration"),
    ("duration 999", {"duration": 999}, "duration"),
    ("duration 0", {"duration": 0}, "duration"),
    ("duration negative", {"duration": -5}, "duration"),
    ("duration 1e308", {"duration": 1e308}, "duration"),
    ("duration of 300 digits", {"duration": 10**300}, "duration"),
    ("duration true", {"duration": True}, "duration"),
    ("duration an object", {"duration": {}}, "duration"),
    ("ratio of a wrong type", {"aspect_ratio": 1.5}, "aspect_ratio"),
    ("ratio that there is not", {"aspect_ratio": "2:1"}, "aspect_ratio"),
    ("resolution a number", {"resolution": 720}, "resolution"),
    ("resolution that there is not", {"resolution": "9000p"}, "resolution"),
    ("seed negative", {"seed": -1}, "seed"),
    ("seed a fraction", {"seed": 1.5}, "seed"),
    ("seed of 40 digits", {"seed": 10**40}, "seed"),
    ("negative prompt a list", {"negative_prompt": []}, "negative_prompt"),
    ("options a list", {"options": []}, "options"),
    ("options unknown", {"options": {"turbo": 1}}, "options"),
    ("audio as text", {"audio": "yes"}, "audio"),
    ("webhook a number", {"webhook_url": 5}, "webhook_url"),
    ("confirm as text", {"confirm": "false"}, "confirm"),
    ("confirm 0", {"confirm": 0}, "confirm"),
    ("tags a list", {"tags": ["a"]}, "tags"),
    ("tag a number", {"tags": {"a": 1}}, "tags"),
    ("tags with NUL", {"tags": {"a\0": "b"}}, "tags"),
    ("21 tags", {"tags": {str(n): "x" for n in range(21)}}, "tags"),
    ("tag too long", {"tags": {"a": "x" * 257}}, "tags"),
    ("max_cost_micro negative", {"max_cost_micro": -1}, "max_cost_micro"),
    ("max_cost_micro a fraction", {"max_cost_micro": 0.5}, "max_cost_micro"),
    ("max_cost_micro huge", {"max_cost_micro": 10**30}, "max_cost_micro"),
    ("cancel_after 0", {"cancel_after": 0}, "cancel_after"),
    ("cancel_after true", {"cancel_after": True}, "cancel_after"),
    ("cancel_after a year", {"cancel_after": 40_000_000}, "cancel_after"),
    ("unknown field", {"quality": "best"}, "quality"),
    ("unknown field of 1 MB", {"q" * 1_000_000: 1}, "q" * 100),
    ("image on a t2v model", {"image": "https://cdn.fairstack-test.com/a.png"}, "image"),
    ("images on a t2v model", {"images": ["https://cdn.fairstack-test.com/a.png"]}, "images"),
    ("end_image on a t2v model", {"end_image": "https://cdn.fairstack-test.com/a.png"}, "end_image"),
    ("video on a t2v model", {"video": "https://cdn.fairstack-test.com/a.mp4"}, "video"),
    ("audio_url on a t2v model", {"audio_url": "https://cdn.fairstack-test.com/a.mp3"}, "audio_url"),
]


@pytest.mark.parametrize(("change", "param"), [row[1:] for row in FIELDS], ids=[row[0] for row in FIELDS])
async def test_a_wrong_field_is_named(gateway: Running, change: dict[str, Any], param: str) -> None:
    """A wrong value of any field is a 400 that names the field; `confirm: false` says the same."""
    await refuse(gateway, {**WAN, **change}, "validation_error", param)
    if "confirm" not in change:
        await refuse(gateway, {**WAN, **change, "confirm": False}, "validation_error", param)


async def test_a_field_that_is_there_twice_is_refused(gateway: Running) -> None:
    """Nobody has to guess which of two equal fields counts, at any depth."""
    twice = b'{"model":"wan-2-1-t2v","prompt":"a","duration":5,"duration":10}'
    assert "twice" in await refuse(gateway, twice, "validation_error", "duration")
    inner = b'{"model":"wan-2-1-t2v","prompt":"a","tags":{"a":"1","a":"2"}}'
    await refuse(gateway, inner, "validation_error", "a")


async def test_a_model_that_there_is_not(gateway: Running) -> None:
    """An unknown model is named with the closest ones, however long its name."""
    await refuse(gateway, {**WAN, "model": "sora"}, "unknown_model", "model")
    await refuse(gateway, {**WAN, "model": "x" * 100_000}, "unknown_model", "model")


async def test_an_image_on_a_text_model_names_its_twin(gateway: Running) -> None:
    """The refusal of an image, and of a missing one, says what to do instead."""
    body = {"model": "local-scene-t2v", "prompt": "a", "image": data_url(PHOTO)}
    assert "local-parallax-i2v" in await refuse(gateway, body, "validation_error", "image")
    assert "image" in await refuse(gateway, KLING, "validation_error", "image")
    await refuse(gateway, {**KLING, "confirm": False}, "validation_error", "image")


REFUSED_ADDRESSES = [
    "http://cdn.fairstack-test.com/a.png",
    "https://127.0.0.1/a.png",
    "https://localhost/a.png",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/a.png",
    "https://[::ffff:10.0.0.1]/a.png",
    "https://2130706433/a.png",
    "https://0x7f.1/a.png",
    "https://10.1.2.3/a.png",
    "https://user:secret@cdn.fairstack-test.com/a.png",
    "https://cdn.fairstack-test.com:22/a.png",
    "file:///etc/passwd",
    "ftp://cdn.fairstack-test.com/a.png",
    "javascript:alert(1)",
    "not a url",
    "//cdn.fairstack-test.com/a.png",
    "https://",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
async def test_an_image_at_a_refused_address(gateway: Running, address: str) -> None:
    """An address that may not be fetched is refused, in an estimate too, without repeating it."""
    message = await refuse(gateway, {**KLING, "image": address}, "image_refused", "image")
    assert "secret" not in message
    await refuse(gateway, {**KLING, "image": address, "confirm": False}, "image_refused", "image")


BAD_PICTURES = [
    f"{PUBLIC}/404",
    f"{PUBLIC}/svg",
    f"{PUBLIC}/html-as.png",
    f"{PUBLIC}/moved-inside",
    data_url(SVG, "image/svg+xml"),
    data_url(HTML),
    data_url(PHOTO, "image/jpeg"),
    data_url(PHOTO[:100]),
    data_url(b""),
    "data:image/png,plain",
    "data:image/png;base64,%%%%",
    "data:,",
    "file_000000000000000000000000",
    "file_" + "x" * 1000,
]


@pytest.mark.parametrize("image", BAD_PICTURES, ids=lambda image: image[:48])
async def test_a_picture_that_is_none(gateway: Running, image: str) -> None:
    """A missing, foreign or broken picture is refused before anything is held."""
    await refuse(gateway, {**KLING, "image": image}, "image_refused", "image")


async def test_what_was_found_at_an_address_is_not_told(gateway: Running) -> None:
    """A 404, a redirect inside and a name that is not there cannot be told apart."""
    messages = {
        await refuse(gateway, {**KLING, "image": image}, "image_refused", "image")
        for image in (f"{PUBLIC}/404", f"{PUBLIC}/moved-inside")
    }
    assert len(messages) == 1


async def test_a_picture_of_900_megapixels(gateway: Running, huge_picture: str) -> None:
    """A small file that would unpack to 900 megapixels is refused by its header."""
    await refuse(gateway, {**KLING, "image": huge_picture}, "image_refused", "image")


async def test_a_good_picture_passes_the_same_way(gateway: Running) -> None:
    """The same road takes a real picture: what refuses the others is not that all are refused."""
    answer = await gateway.submit({**KLING, "image": f"{PUBLIC}/photo.png"}, key=gateway.keys.test)
    assert answer.status == 202, answer.body


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "https://169.254.169.254/",
        "http://localhost/",
        "ftp://a.example.com/",
        "hello",
        "",
    ],
)
async def test_a_webhook_at_a_refused_address(gateway: Running, url: str) -> None:
    """A webhook that may not be called is refused, in an estimate too."""
    await refuse(gateway, {**WAN, "webhook_url": url}, "webhook_url_refused", "webhook_url")
    await refuse(gateway, {**WAN, "webhook_url": url, "confirm": False}, "webhook_url_refused", "webhook_url")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\xe9", "tab\there"])
async def test_a_bad_idempotency_key(gateway: Running, key: str) -> None:
    """A key that is not 1 to 255 visible ASCII characters is refused."""
    before = await everything_stored(gateway)
    answer = await gateway.submit(WAN, key=gateway.keys.test, headers={"Idempotency-Key": key})
    assert (answer.status, answer.json["error"]["param"]) == (400, "Idempotency-Key")
    assert await everything_stored(gateway) == before


async def test_unknown_query_parameters(gateway: Running) -> None:
    """A query parameter that there is not is refused on every path under /v1, with those that there are."""
    before = await everything_stored(gateway)
    paths = gateway.conformity.document["paths"]
    for path, operations in paths.items():
        for method in operations if path.startswith("/v1/") else ():
            answer = await gateway.call(
                method.upper(), path.replace("{", "").replace("}", "") + "?nope=1", {}
            )
            assert answer.status == 400, (method, path, answer.body)
            assert answer.json["error"]["param"] == "nope"
    assert await everything_stored(gateway) == before


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/jobs?limit=0", "limit"),
        ("/v1/jobs?limit=101", "limit"),
        ("/v1/jobs?limit=1e2", "limit"),
        ("/v1/jobs?limit=%D9%A3", "limit"),
        ("/v1/jobs?status=done", "status"),
        ("/v1/jobs?cursor=nonsense", "cursor"),
        ("/v1/jobs?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCBqb2JfeA", "cursor"),
        ("/v1/jobs?created_after=yesterday", "created_after"),
        ("/v1/jobs?created_before=0001-01-01T00:00:00%2B14:00", "created_before"),
        ("/v1/jobs?model=%00", "model"),
        ("/v1/jobs/x?wait=61", "wait"),
        ("/v1/jobs/x?wait=-1", "wait"),
        ("/v1/jobs/x?wait=", "wait"),
        ("/v1/ledger?cursor=%00", "cursor"),
        ("/v1/ledger?cursor=led_x", "cursor"),
        ("/v1/usage?group_by=colour", "group_by"),
        ("/v1/usage?from=2026-02-30", "from"),
        ("/v1/usage?from=2027-01-01&to=2026-01-01", "from"),
        ("/v1/models?type=t3v", "type"),
        ("/v1/models?modality=image", "modality"),
        ("/v1/models?q=%00", "q"),
        ("/v1/webhooks/deliveries?state=lost", "state"),
        ("/v1/webhooks/deliveries?cursor=x", "cursor"),
    ],
)
async def test_bad_query_parameters(gateway: Running, path: str, param: str) -> None:
    """A wrong value of a query parameter is a 400 that names it."""
    answer = await gateway.call("GET", path)
    assert (answer.status, answer.json["error"].get("param")) == (400, param), answer.body


async def test_bad_bodies_elsewhere(gateway: Running) -> None:
    """Every other route that takes a body refuses what is no JSON object and names the wrong field."""
    rows = [
        ("POST", "/v1/api-keys", {"name": 5}, "name"),
        ("POST", "/v1/api-keys", {"scopes": ["everything"]}, "scopes"),
        ("POST", "/v1/api-keys", {"mode": "demo"}, "mode"),
        ("POST", "/v1/api-keys", {"cap_micro": -1}, "cap_micro"),
        ("POST", "/v1/api-keys", {"cap_micro": 10**30}, "cap_micro"),
        ("POST", "/v1/api-keys", {"expires_at": "2001-01-01"}, "expires_at"),
        ("POST", "/v1/api-keys", {"colour": 1}, "colour"),
        ("POST", "/v1/api-keys", {"name": ""}, "name"),
        ("POST", "/v1/admin/accounts", {}, "name"),
        ("POST", "/v1/admin/accounts", {"name": ""}, "name"),
        ("POST", "/v1/admin/accounts", {"name": "a", "cap_micro": True}, "cap_micro"),
        ("POST", "/v1/admin/accounts/default/grants", {"micro": 0}, "micro"),
        ("POST", "/v1/admin/accounts/default/grants", {"micro": -5}, "micro"),
        ("POST", "/v1/admin/accounts/default/grants", {"micro": 10**30}, "micro"),
        ("POST", "/v1/admin/accounts/default/grants", {"micro": "5"}, "micro"),
        ("PUT", "/v1/webhooks/endpoint", {}, "url"),
        ("PUT", "/v1/webhooks/endpoint", {"url": 5}, "url"),
        ("POST", "/v1/webhooks/test", {"address": "x"}, "address"),
    ]
    before = await everything_stored(gateway)
    for method, path, body, param in rows:
        answer = await gateway.call(method, path, body)
        assert answer.status == 400, (path, body, answer.body)
        assert answer.json["error"].get("param") == param, (path, body, answer.body)
        assert (await gateway.call(method, path, b"[1]")).status == 400
    assert await everything_stored(gateway) == before


async def test_a_body_of_1_mb(gateway: Running) -> None:
    """A megabyte within the limits of its fields is read and refused for what it says."""
    body = json.dumps({**WAN, "tags": {"a": "x" * 1_000_000}}).encode()
    await refuse(gateway, body, "validation_error", "tags")
