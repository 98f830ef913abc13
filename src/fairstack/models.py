"""The catalog; the flows behind `client.models`."""

from __future__ import annotations

from fairstack.call import call_for, call_json, get
from fairstack.errors import UnexpectedAnswer
from fairstack.files import path_part
from fairstack.flow import Flow, Request
from fairstack.types import Model, read

PATH = "/v1/models"


def list_request(
    type: str | None, tier: str | None, provider: str | None, status: str | None, q: str | None
) -> Request:
    """The request for the video models that fit."""
    return get(
        PATH,
        {
            "modality": "video",
            "type": type,
            "tier": tier,
            "provider": provider,
            "status": status,
            "q": q,
        },
    )


def fetch_all(request: Request) -> Flow[list[Model]]:
    """The models of that answer."""
    answer = yield from call_json(request)
    models = answer.get("models") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise UnexpectedAnswer(f"{PATH} did not answer with models")
    return [read(Model, model) for model in models]


def fetch(key: str) -> Flow[Model]:
    """One model, by key or alias."""
    return (yield from call_for(Model, get(f"{PATH}/{path_part(key)}")))
