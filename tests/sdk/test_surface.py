"""The shape of the package: two clients in step, light to import, typed, and alone."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import fairstack
from fairstack import AsyncFairStack, AsyncJob, AsyncResult, FairStack, Job, Result, aio, client, errors

ROOT = Path(__file__).parents[2]
PAIRS: list[tuple[type[Any], type[Any]]] = [
    (FairStack, AsyncFairStack),
    (Job, AsyncJob),
    (Result, AsyncResult),
    *[
        (getattr(client, name), getattr(aio, f"Async{name}"))
        for name in ("Generate", "Jobs", "Models", "CreditsCalls", "Ledger", "Files", "ApiKeys")
    ],
]


def calls(kind: type[Any]) -> dict[str, Any]:
    """Public methods by name; the async close is named as its language has it."""
    names = {name for name in dir(kind) if not name.startswith("_")}
    return {name.replace("aclose", "close"): getattr(kind, name) for name in names}


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS, ids=lambda kind: kind.__name__)
def test_sync_and_async_are_in_step(blocking: type[Any], awaited: type[Any]) -> None:
    """Both clients have the same calls with the same parameters and the same words about them."""
    ours, theirs = calls(blocking), calls(awaited)
    assert set(ours) == set(theirs)
    for name, method in ours.items():
        if inspect.isfunction(method):
            assert parameters(method) == parameters(theirs[name]), name
            assert first_words(method) == first_words(theirs[name]), name


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults of the parameters."""
    signature = inspect.signature(method)
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


def first_words(method: Any) -> str:
    """First line of the docstring, but for what waiting is called."""
    return re.sub(r"Block|Wait|, and awaited if it can be,", "", inspect.getdoc(method) or "").split("\n")[0]


def test_import_is_light() -> None:
    """Importing the package loads neither an HTTP library nor the command line's, nor the server."""
    heavy = "{'httpx', 'anyio', 'asyncio', 'typer', 'rich', 'fairstack_server', 'fairstack_local', 'ssl'}"
    program = f"import sys, fairstack; print(sorted({heavy} & set(sys.modules)))"
    assert run(program) == "[]"


def test_command_line_is_light() -> None:
    """The help of a command is shown without loading HTTP, rich or the server."""
    program = (
        "import sys\nfrom fairstack.cli.main import main\n"
        "try: main(['video', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'httpx', 'asyncio', 'rich', 'fairstack_server', 'ssl'} & set(sys.modules)))"
    )
    shown = run(program)
    assert "--estimate" in shown
    assert shown.endswith("[]")


def run(program: str) -> str:
    """What this program prints, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_version_is_the_packages() -> None:
    """The version that the client names is the one in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert fairstack.__version__ == project["version"]


def test_error_tree_is_drawn() -> None:
    """Every error is in the tree of the docstring, below the class it derives from, and is exported."""
    tree = errors.__doc__ or ""
    kinds = [k for k in vars(errors).values() if inspect.isclass(k) and issubclass(k, errors.FairStackError)]
    assert len(kinds) > 25
    for kind in kinds:
        assert re.search(rf"\b{kind.__name__}\b", tree), kind
        assert getattr(fairstack, kind.__name__) is kind
        for base in kind.__bases__:
            if issubclass(base, errors.FairStackError):
                assert tree.index(base.__name__) < tree.index(kind.__name__)


def test_every_exported_name_exists() -> None:
    """__all__ names what is there, each once."""
    assert len(fairstack.__all__) == len(set(fairstack.__all__))
    for name in fairstack.__all__:
        assert hasattr(fairstack, name)


def test_codes_of_the_contract_have_a_class() -> None:
    """Each code of the server's error table gives a class of its own meaning, with the server's status."""
    from fairstack_server import errors as server_errors

    for kind in vars(server_errors).values():
        if not (inspect.isclass(kind) and issubclass(kind, server_errors.FairStackError)):
            continue
        if kind is not server_errors.FairStackError and kind.status != 405:
            ours = errors.refusal_class(kind.default_code, kind.status)
            names = {base.__name__ for base in ours.__mro__}
            assert kind.__name__ in names, kind
