"""The documents say what is there: links, commands, settings, codes, routes, examples."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
import typer
from typer.core import TyperGroup

from fairstack.cli.main import build_app
from fairstack_server.api.openapi import STATUS_OF_CODE, documented
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.pricing import price_of_default_clip
from fairstack_server.providers.stories_page import PAGE as STORIES_PAGE
from fairstack_server.providers.stories_page import with_table
from fairstack_server.settings import ENV_PREFIX, PROVIDER_SETTINGS, Settings
from fairstack_server.settings_page import CLIENT_SETTINGS, settings_page
from fairstack_server.settings_page import PAGE as SETTINGS_PAGE
from fairstack_server.spec import described_app
from fairstack_server.webhooks.schedule import DELAYS_SECONDS
from tests.docs.pages import ROOT, Block, all_blocks, anchors, blocks, commands, links, name_of, pages

#: What belongs to one machine or one company, in a form that does not itself stand here.
_FOREIGN = re.compile(r"/wor[k]/|/roo[t]/|pypi\.or[g]|pythonhoste[d]|npmj[s]|artifactor[y]")
PAGES = pytest.mark.parametrize("page", pages(), ids=name_of)


def test_there_are_documents() -> None:
    """The pages that a newcomer looks for are there, so that the tests below have something to read."""
    names = {name_of(page) for page in pages()}
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/quickstart.md"} <= names


def test_the_readme_is_short() -> None:
    """The README is read to its end: 150 lines at most."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@PAGES
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file or folder that is there, and a heading that is in it."""
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}"


@PAGES
def test_no_page_speaks_of_one_machine(page: Path) -> None:
    """No path of somebody's machine and no host of a package index stands in a page."""
    assert _FOREIGN.findall(page.read_text(encoding="utf-8")) == []


def test_every_page_of_docs_is_in_the_index() -> None:
    """docs/README.md, or the list of decisions, leads to every page under docs/."""
    listed = {
        (index.parent / link).resolve()
        for index in (ROOT / "docs/README.md", ROOT / "docs/decisions/README.md")
        for link in links(index)
    }
    under_docs = {page for page in pages() if page.is_relative_to(ROOT / "docs")}
    assert under_docs - listed - {ROOT / "docs/README.md"} == set()


@PAGES
def test_every_make_target_exists(page: Path) -> None:
    """`make …` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page, "make"):
        assert not words or words[0] in targets, f"{name_of(page)}: make {' '.join(words)}"


@PAGES
def test_every_fairstack_command_exists(page: Path) -> None:
    """`fairstack …` in a page is a command, and its options are options of that command."""
    for words in commands(page, "fairstack"):
        spoken = " ".join(words)
        command, rest = find_command(words)
        assert not isinstance(command, TyperGroup) or not rest, f"{name_of(page)}: fairstack {spoken}"
        known = {name for parameter in command.params for name in parameter.opts} | {"--help", "--version"}
        used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{name_of(page)}: fairstack {spoken}"


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words name, and the words that are left for it."""
    command: Any = typer.main.get_command(build_app(with_operator_commands=True))
    rest = [word for word in words if word != "…"]
    while isinstance(command, TyperGroup) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    return command, rest


@PAGES
def test_every_setting_exists(page: Path) -> None:
    """A setting that a page names is one that the server or the client reads."""
    ours = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.__dataclass_fields__}
    known = ours | set(CLIENT_SETTINGS) | set(PROVIDER_SETTINGS)
    beginnings = {name.split("_")[0] for name in PROVIDER_SETTINGS} | {"FAIRSTACK"}
    named = re.findall(r"\b[A-Z]+_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8"))
    assert {name for name in named if name.split("_")[0] in beginnings} - known == set()


def test_the_generated_pages_are_fresh() -> None:
    """The settings page and the table of stories say what the code says."""
    assert (ROOT / SETTINGS_PAGE).read_text(encoding="utf-8") == settings_page()
    stories = (ROOT / STORIES_PAGE).read_text(encoding="utf-8")
    assert stories == with_table(stories)


def rows(page: str, columns: int) -> Iterator[list[str]]:
    """The cells of every table row of a page that has so many columns."""
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == columns:
            yield cells


def test_the_page_of_errors_has_every_code() -> None:
    """Each code stands in the table with its status, and no other code does."""
    told = {cells[1].strip("`"): cells[0] for cells in rows("docs/reference/errors.md", 4)}
    told.pop("Code")
    assert told == {code: str(status) for code, status in STATUS_OF_CODE.items()}


def test_the_page_of_the_api_has_every_route() -> None:
    """Each route stands in the table with its scope, and no other route does."""
    told = {cells[0].strip("`"): cells[2].strip("`") for cells in rows("docs/reference/http-api.md", 3)}
    told.pop("Route")
    routes = {f"{method} {path}": doc.scope or "none" for path, method, doc in documented(described_app())}
    assert told == routes


def test_the_schedule_of_webhooks_is_told() -> None:
    """The guide names the wait before each attempt as the sender keeps it."""

    def words(seconds: int) -> str:
        unit, size = next((u, n) for u, n in (("h", 3600), ("min", 60), ("s", 1)) if seconds % n == 0)
        return f"{seconds // size} {unit}"

    *waits, last = [words(seconds) for seconds in DELAYS_SECONDS[1:]]
    guide = (ROOT / "docs/guides/webhooks.md").read_text(encoding="utf-8")
    assert f"at once, then after {', '.join(waits)} and {last}" in guide


def test_the_map_of_the_code_is_true() -> None:
    """Every file that ARCHITECTURE.md names is there, and so is every function that it names in it."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for line in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        folder = re.match(r"\| `(\w+/)`", line)
        for named, function in re.findall(r"`([\w/]+\.py)`(?:: `(\w+)`)?", line):
            places = [f"{base}{named}" for base in ("fairstack_server/", "", folder[1] if folder else "")]
            found = [ROOT / "src" / place for place in [*places, f"fairstack_server/{places[-1]}"]]
            file = next((path for path in found if path.is_file()), None)
            assert file is not None, named
            assert re.search(rf"\b(def|class) {function}\b", file.read_text()) or not function, line


def test_the_layers_are_those_that_are_checked() -> None:
    """The layers that ARCHITECTURE.md draws are the import checker's, in its order."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawn = re.search(r"^cli -> .*?^```", text, re.MULTILINE | re.DOTALL)
    assert drawn is not None
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    checked = config["importlinter:contract:layers"]["layers"].split("\n")
    # A layer in brackets is one that may come.
    there = [re.sub(r" \| \(\w+\)", "", layer.strip()) for layer in checked if layer.strip()]
    assert re.split(r"\s*->\s*", drawn[0].removesuffix("```").strip()) == there


def test_every_decision_has_the_same_parts() -> None:
    """Each record has the headings of the template."""
    folder = ROOT / "docs" / "decisions"
    wanted = re.findall(r"^## .*$", (folder / "0000-template.md").read_text(), re.MULTILINE)
    for record in folder.glob("0*.md"):
        assert re.findall(r"^## .*$", record.read_text(), re.MULTILINE) == wanted, record.name


def test_the_model_of_the_contributing_page_works(tmp_path: Path) -> None:
    """The example is fifteen lines, loads from a folder of the operator's, and has the price that it says."""
    (example,) = blocks(ROOT / "CONTRIBUTING.md", "toml")
    assert len(example.text.splitlines()) == 15
    file = tmp_path / "models" / "ours" / "wan-2-2-5b-own.toml"
    file.parent.mkdir(parents=True)
    file.write_text(example.text)
    model = Catalog(operator=tmp_path).get("wan-2-2-5b-own")
    assert price_of_default_clip(model, on=date(2026, 12, 1)).micros == 20_000


def test_the_overrides_of_the_guide_work(tmp_path: Path) -> None:
    """The operator's own prices, as the guide writes them, are taken."""
    (example,) = blocks(ROOT / "docs/guides/hosted-providers.md", "toml")
    (tmp_path / "overrides.toml").write_text(example.text)
    model = Catalog(operator=tmp_path).get("local-scene-t2v")
    assert price_of_default_clip(model, on=date(2026, 12, 1)).micros == 10_000


@pytest.mark.parametrize("block", all_blocks("python", "toml", "json"), ids=lambda block: block.where)
def test_every_block_can_be_read(block: Block) -> None:
    """Python compiles, TOML and JSON parse."""
    if block.language == "python":
        compile(block.text, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        msgspec.json.decode(block.text.replace("…", ""))
