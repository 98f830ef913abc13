"""Every setting of the server: name, default, meaning. Read once, from the environment, in `bootstrap.py`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

ENV_PREFIX = "FAIRSTACK_"


class SettingsError(ValueError):
    """A setting holds a value that cannot be used; the message names it and says what would be right."""


def _setting(default: Any, meaning: str, env: str | None = None, *, secret: bool = False) -> Any:
    metadata = {"meaning": meaning, "env": env}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not secret)


def default_home() -> Path:
    """The user's data folder: `$XDG_DATA_HOME/fairstack`, else `~/.local/share/fairstack`."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "fairstack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The server's settings; each is an environment variable `FAIRSTACK_<NAME>` unless it says otherwise."""

    home: Path = _setting(default_home, "Folder of all data: database, media, keys, caches.")
    host: str = _setting("127.0.0.1", "Address that the server binds.")
    port: int = _setting(8787, "Port that the server binds.")
    public_url: str = _setting("", "Base URL under which users and providers reach this server.")
    database_url: str = _setting("", "PostgreSQL to use instead of the embedded one.")
    media_url: str = _setting(
        "", "Where clips are kept: a folder or s3://, gs://, az:// URL. Empty: under home."
    )
    margin_percent: Decimal = _setting(
        Decimal(0), "Added to provider cost where a model has no price of its own."
    )
    allow_loss: bool = _setting(False, "Use routes that cost more than the price.")
    catalog_dir: Path | None = _setting(
        None, "Folder of further model files; they win over the built-in ones."
    )
    catalog_watch_seconds: float = _setting(
        1.0, "Time between two looks for changes in that folder; 0 looks only when told to reload."
    )
    webhook_allow: tuple[str, ...] = _setting(
        (), "Development webhook receivers, host:port, comma separated."
    )
    webhook_timeout_seconds: float = _setting(15.0, "Total time of one webhook attempt.")
    image_timeout_seconds: float = _setting(10.0, "Total time to fetch an image of a request.")
    image_max_bytes: int = _setting(20 * 1024 * 1024, "Largest image that is taken.")
    input_timeout_seconds: float = _setting(45.0, "Total time to fetch a clip or a sound of a request.")
    input_max_bytes: int = _setting(200 * 1024 * 1024, "Largest clip or sound of a request that is taken.")
    input_max_seconds: float = _setting(600.0, "Longest clip or sound of a request that is taken.")
    result_max_bytes: int = _setting(2 * 1024**3, "Largest clip that is taken from a provider.")
    result_timeout_seconds: float = _setting(600.0, "Total time to download a clip.")
    moderation_command: str = _setting(
        "", "Program that judges requests and clips: JSON on its input, verdict on its output; no shell."
    )
    moderation_url: str = _setting("", "Address that judges requests and clips, instead of a program.")
    moderation_secret: str = _setting(
        "", "Secret (whsec_…) that questions to that address are signed with.", secret=True
    )
    moderation_timeout_seconds: float = _setting(10.0, "Total time of one question, waiting included.")
    moderation_processes: int = _setting(4, "Moderation programs that run at a time.")
    moderation_fail_open: bool = _setting(
        False, "Let pass what gets no verdict in time; else it is refused, and clips wait."
    )
    moderation_keep_refused: bool = _setting(
        False, "Keep refused clips under home/refused for the operator, instead of deleting them."
    )
    c2pa_certificate: Path | None = _setting(
        None, "PEM file of the certificate chain that signs clips. Empty: one of our own making."
    )
    c2pa_key: Path | None = _setting(None, "PEM file of that certificate's private key.")
    c2pa_max_bytes: int = _setting(
        512 * 1024 * 1024, "Largest clip that is signed; it is held in memory meanwhile, at most twice."
    )
    body_max_bytes: int = _setting(32 * 1024 * 1024, "Largest request body (a data: URL of an image fits).")
    rate_limit_per_minute: int = _setting(600, "Requests a key may make in a minute.")
    sandbox_in_flight: int = _setting(4, "Sandbox (fs_test_) jobs of one account rendered at a time.")
    local_processes: int = _setting(1, "Renders of the embedded engine at a time.")
    worker_jobs: int = _setting(10_000, "Jobs that one worker keeps in flight.")
    worker_timeout_seconds: float = _setting(30.0, "A worker silent for this long is taken for dead.")
    sweep_seconds: float = _setting(5.0, "Time between two sweeps for jobs that nobody works on.")
    late_seconds: float = _setting(30.0, "Time between two looks for clips of jobs that were given up.")
    submit_attempts: int = _setting(
        4, "Tries of one route that cannot be reached before another one is preferred."
    )
    provider_limits: tuple[str, ...] = _setting(
        (),
        "Limits of providers, for one worker process, comma separated: fal=40 is at most 40 tasks in flight, "
        "runway=5/60s at most 5 orders in any 60 seconds.",
    )
    database_connections: int = _setting(10, "Connections to PostgreSQL of one process.")
    log_level: str = _setting("info", "debug, info, warning or error.")
    log_format: str = _setting("auto", "console, json, or auto: console on a terminal, else json.")
    providers: Mapping[str, str] = field(
        default_factory=dict,
        metadata={"meaning": "Keys and addresses of providers, by the vendors' usual names.", "env": "-"},
        repr=False,
    )

    @property
    def base_url(self) -> str:
        """Where this server is reached, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


#: The vendors' usual names of their keys and addresses: what each one enables.
PROVIDER_SETTINGS: Mapping[str, str] = {
    "FAL_KEY": "Key of fal.ai.",
    "FAL_QUEUE_URL": "Address of a stand-in for fal.ai: queue, lists and callback keys are asked there.",
    "REPLICATE_API_TOKEN": "Key of Replicate.",
    "REPLICATE_URL": "Another address of Replicate: a proxy or a stand-in.",
    "RUNWAYML_API_SECRET": "Key of Runway.",
    "RUNWAYML_URL": "Another address of Runway: a proxy or a stand-in.",
    "LUMAAI_API_KEY": "Key of Luma Dream Machine.",
    "LUMA_URL": "Another address of Luma: a proxy or a stand-in.",
    "VIDU_API_KEY": "Key of Vidu.",
    "VIDU_URL": "Another address of Vidu: another region (https://api.vidu.cn), a proxy or a stand-in.",
    "XAI_API_KEY": "Key of xAI (Grok Imagine).",
    "XAI_URL": "Another address of xAI: a proxy or a stand-in.",
    "MINIMAX_API_KEY": "Key of MiniMax.",
    "MINIMAX_URL": "Another address of MiniMax: another region (https://api.minimax.cn), a proxy or a stand-in.",
    "PIXVERSE_API_KEY": "Key of PixVerse.",
    "PIXVERSE_URL": "Another address of PixVerse: another region, a proxy or a stand-in.",
    "BFL_API_KEY": "Key of Black Forest Labs (FLUX video).",
    "BFL_URL": "Another address of Black Forest Labs: a region (https://api.eu.bfl.ai), a proxy or a stand-in.",
    "LTX_API_KEY": "Key of Lightricks (LTX video).",
    "LTX_URL": "Another address of Lightricks: a proxy or a stand-in.",
    "GOOGLE_CLOUD_PROJECT": "Project of Google Vertex AI (Veo). A key of the Gemini API does not serve it.",
    "GOOGLE_CLOUD_LOCATION": "Where Vertex AI renders; us-central1 where it is not given.",
    "GOOGLE_APPLICATION_CREDENTIALS": "Key file (JSON) of a service account that may use Vertex AI.",
    "GOOGLE_ACCESS_TOKEN": "An access token of Google instead of a key file; you renew it.",
    "GOOGLE_STORAGE_URI": "gs://bucket/prefix where Vertex AI puts clips; empty: they come inside its answers.",
    "GOOGLE_VERTEX_URL": "Another address of Vertex AI and its buckets: a proxy or a stand-in.",
    "KLING_API_KEY": "API key of Kling, instead of the pair below.",
    "KLING_ACCESS_KEY": "Access key of Kling.",
    "KLING_SECRET_KEY": "Secret key of Kling.",
    "KLING_URL": "Another address of Kling: another region, a proxy or a stand-in.",
    "DASHSCOPE_API_KEY": "Key of Alibaba Cloud Model Studio (DashScope).",
    "DASHSCOPE_URL": "Another address of DashScope: another region, a proxy or a stand-in.",
    "ARK_API_KEY": "Key of BytePlus ModelArk.",
    "BYTEPLUS_URL": "Another address of ModelArk: another region, a proxy or a stand-in.",
    "OPENAI_VIDEOS_URL": "Base address of a server that speaks /v1/videos, such as a GPU engine of your own.",
    "OPENAI_VIDEOS_KEY": "Key of that server, if it wants one.",
    "OPENAI_VIDEOS_DIALECT": "How that server takes orders: multipart (default) or json.",
}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings of this environment. Raises SettingsError naming the first value that cannot be used."""
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        if setting.name == "providers":
            continue
        name = ENV_PREFIX + setting.name.upper()
        text = environment.get(name, "")
        if text == "":
            continue
        try:
            values[setting.name] = _parse(str(setting.type), text)
        except (ValueError, InvalidOperation) as error:
            raise SettingsError(f"{name}={text!r} cannot be used: {error}") from error
    known = {name: environment[name] for name in PROVIDER_SETTINGS if environment.get(name)}
    return Settings(**values, providers=known)


def _parse(kind: str, text: str) -> Any:
    match kind:
        case "Path" | "Path | None":
            return Path(text).expanduser().resolve()
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "Decimal":
            return Decimal(text)
        case "bool":
            if text.lower() not in ("1", "0", "true", "false", "yes", "no"):
                raise ValueError("write true or false")
            return text.lower() in ("1", "true", "yes")
        case "tuple[str, ...]":
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case _:
            return text
