"""Reading the folders of the catalog."""

from __future__ import annotations

import threading
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.load import CatalogError, Snapshot, builtin_dir, read_catalog
from fairstack_server.pricing import price_of_default_clip
from tests.catalog.conftest import TODAY, WriteModel, least


def problem_of(folder: Path, operator: Path | None = None) -> str:
    """The one line that the loader has to say about this folder."""
    with pytest.raises(CatalogError) as caught:
        Catalog(folder, operator)
    (line,) = caught.value.problems
    return line


def line_with(path: Path, part: str) -> int:
    """Number of the first line that holds this text."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if part in line)


def test_the_models_of_the_seed_are_built_in(builtin: Catalog) -> None:
    """The catalog ships the local models and those that the seed names, in the seed's tiers."""
    tiers = {model.key: model.tier for model in builtin.models()}
    expected = {
        "local-scene-t2v": "budget",
        "local-parallax-i2v": "budget",
        "wan-2-1-t2v": "budget",
        "kling-2-1-std-i2v": "standard",
        "veo-3": "premium",
        "runway-gen4-turbo-i2v": "premium",
    }
    assert {key: tiers.get(key) for key in expected} == expected


def test_local_models_say_that_they_are_no_neural_models(builtin: Catalog) -> None:
    """Nobody takes the embedded renderer for something it is not."""
    for key in ("local-scene-t2v", "local-parallax-i2v"):
        assert "procedural renderer, not a neural model" in builtin.get(key).description


def test_a_new_model_is_one_file_and_a_reload(folder: Path, write: WriteModel) -> None:
    """A model file written while the server runs is there after a reload."""
    write("tiny", least())
    catalog = Catalog(folder)
    write("small", least())
    catalog.reload()
    assert [model.key for model in catalog.models()] == ["small", "tiny"]


def test_a_reload_of_broken_files_keeps_the_catalog(folder: Path, write: WriteModel) -> None:
    """A typing error in a file does not take a running server's models away."""
    write("tiny", least())
    catalog = Catalog(folder)
    write("tiny", "name = ")
    with pytest.raises(CatalogError):
        catalog.reload()
    assert catalog.get("tiny").name == "Tiny"


def test_a_snapshot_outlives_a_reload(folder: Path, write: WriteModel) -> None:
    """Work that began before a reload sees the models as they were."""
    write("tiny", least())
    catalog = Catalog(folder)
    before = catalog.snapshot
    write("tiny", least().replace('"Tiny"', '"Renamed"'))
    catalog.reload()
    assert (before.models["tiny"].name, catalog.get("tiny").name) == ("Tiny", "Renamed")


def test_a_route_is_closed_while_a_reload_reads(
    folder: Path, write: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes a route does not wait for a reload in another thread, which then keeps it closed."""
    write("tiny", least())
    catalog = Catalog(folder)
    reading, read_on = threading.Event(), threading.Event()

    def slow_read(builtin: Path, operator: Path | None) -> Snapshot:
        reading.set()
        read_on.wait(30)
        return read_catalog(builtin, operator)

    monkeypatch.setattr("fairstack_server.catalog.catalog.read_catalog", slow_read)
    reload = threading.Thread(target=catalog.reload)
    reload.start()
    reading.wait(30)
    close = threading.Thread(target=catalog.close_routes, args=({("tiny", "fal", "nobody/tiny"): TODAY},))
    close.start()
    close.join(5)
    waited, seen = close.is_alive(), _ends(catalog)
    read_on.set()
    reload.join()
    close.join()
    assert (waited, seen, _ends(catalog)) == (False, [TODAY], [TODAY])


def _ends(catalog: Catalog) -> list[date | None]:
    return [route.end_of_life for route in catalog.get("tiny").routes]


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ({"top": "colour = 1"}, "colour", "there is no field 'colour' here"),
        ({"capabilities": "duration = [5]"}, "duration = [5]", "did you mean 'durations'?"),
        ({"capabilities": 'durations = "long"'}, "durations", "array"),
        ({"capabilities": "durations = [5, 10]"}, "durations", "state default_duration"),
        (
            {"capabilities": "durations = [5]\ndefault_duration = 6"},
            "default_duration",
            "not one of the durations",
        ),
        ({"capabilities": 'aspect_ratios = ["wide"]'}, "aspect_ratios", "matching regex"),
        (
            {"capabilities": 'resolutions = ["720p"]\ndefault_resolution = "1080p"'},
            "default_resolution",
            "must be one of 720p",
        ),
        ({"capabilities": "audio = true\naudio_toggle = true"}, "audio_toggle", "state both"),
        (
            {"capabilities": "[capabilities.options.x]\ntype = 'colour'"},
            "type = 'colour'",
            "one of array, boolean",
        ),
        (
            {"capabilities": "durations = [5]\nlimits = [{ when = { audio = true }, durations = [6] }]"},
            "limits",
            "6 is not one of the model's durations",
        ),
        (
            {"capabilities": "[capabilities.options.x]\ntype = 'number'\nmaximum = 1\ndefault = 2"},
            "options.x",
            "2 must be at most 1",
        ),
        ({"rates": '{ usd = "cheap" }'}, "rates", "decimal"),
        ({"rates": '{ usd = "-1" }'}, "rates", "cannot be negative"),
        ({"rates": '{ usd = "NaN" }'}, "rates", "not a number that makes sense"),
        (
            {"capabilities": "durations = { min = 1, max = inf }"},
            "durations",
            "not a number that makes sense",
        ),
        (
            {"capabilities": "durations = { min = 1, max = 9, step = 1e-9 }"},
            "durations",
            "take a longer step",
        ),
        ({"rates": "{ usd = true }"}, "rates", "Expected `decimal`"),
        (
            {"rates": '{ usd = "1", when = { colour = "red" } }'},
            "rates",
            "no condition can be put on 'colour'",
        ),
        (
            {"top": 'replaced_by = "x"', "capabilities": "audio_default = true"},
            "audio_default",
            "go together",
        ),
        ({"unit": "hour"}, "unit =", "one of"),
        ({"more": "[routes.formats]\nduration = 'roman'"}, "duration = 'roman'", "is not a form"),
        ({"more": "[routes.values.colour]\nred = 1"}, "routes.values", "is not a word of ours"),
    ],
)
def test_errors_name_file_line_and_remedy(
    folder: Path, write: WriteModel, wrong: dict[str, str], line: str, said: str
) -> None:
    """Whatever is wrong in a file, the message says where and what would be right."""
    path = write("tiny", least(**wrong))
    found = problem_of(folder)
    assert found.startswith(f"{path}:{line_with(path, line)}: ")
    assert said in found


def test_an_error_in_a_rate_on_its_own_line_names_that_line(folder: Path, write: WriteModel) -> None:
    """In a list of rates the third is told from the first."""
    rates = '\n  { usd = "1", when = { audio = true } },\n  # a remark\n  { usd = "2" },\n  { us = "3" },\n'
    path = write("tiny", least(rates=rates))
    assert problem_of(folder).startswith(f"{path}:{line_with(path, 'us = ')}: ")


@pytest.mark.parametrize(
    ("kind", "role"), [("i2v", "image"), ("flf", "image"), ("r2v", "images_max"), ("lipsync", "audio_url")]
)
def test_a_model_takes_the_files_of_its_type(folder: Path, write: WriteModel, kind: str, role: str) -> None:
    """An image-to-video model that takes no image is a slip of the pen."""
    path = write("tiny", least().replace('"t2v"', f'"{kind}"'))
    expected = f'{path}:{line_with(path, "type")}: type: a model of type {kind} takes "{role}"'
    assert problem_of(folder).startswith(expected)


def test_text_over_several_lines_hides_no_line(folder: Path, write: WriteModel) -> None:
    """What looks like TOML inside a description is not taken for it."""
    text = least(top='vendor = 5\nreplaced_by = "tiny"').replace(
        '"A model of a test."', '"""\nvendor = 1\n[capabilities]\n"""', 1
    )
    path = write("tiny", text.replace('vendor = "Nobody"\n', ""))
    assert problem_of(folder).startswith(f"{path}:{line_with(path, 'vendor = 5')}: vendor: ")


def test_a_model_that_nobody_can_price_is_refused(folder: Path, write: WriteModel) -> None:
    """A model without any price or cost could be listed but never sold."""
    costless = least().replace("[[routes.costs]]", "[routes.nothing]").split("[routes.nothing]")[0]
    write("tiny", costless)
    assert "neither a price nor a route with a cost" in problem_of(folder)


def test_every_problem_of_every_file_is_told_at_once(folder: Path, write: WriteModel) -> None:
    """Somebody who edited ten files need not start the server ten times."""
    write("one", least(top="colour = 1"))
    write("two", "name = 'unfinished")
    with pytest.raises(CatalogError) as caught:
        Catalog(folder)
    assert len(caught.value.problems) == 2


def test_toml_that_is_no_toml_names_the_line(folder: Path, write: WriteModel) -> None:
    """A syntax error has a line too."""
    path = write("tiny", 'name = "Tiny"\nvendor = \n')
    assert problem_of(folder).startswith(f"{path}:2: not TOML")


@pytest.mark.parametrize("name", ["Tiny", "tiny_model", "tiny.v2"])
def test_a_file_name_that_is_no_key_is_refused(folder: Path, write: WriteModel, name: str) -> None:
    """The file name is the key, so it must look like one."""
    write(name, least())
    assert "the file name is the key" in problem_of(folder)


def test_an_alias_that_is_taken_is_refused(folder: Path, write: WriteModel) -> None:
    """Two models cannot answer to one name."""
    write("tiny", least())
    write("small", least(top='aliases = ["tiny"]'))
    assert "the alias 'tiny' already names 'tiny'" in problem_of(folder)


def test_prices_are_appended_in_order(folder: Path, write: WriteModel) -> None:
    """A newer price that stands before an older one is a mistake."""
    more = "[[routes.costs]]\nsince = 2025-01-01\nunit = 'clip'\nsource = 'x'\nrates = [{ usd = 1 }]"
    write("tiny", least(more=more))
    assert "must be later than the entry before" in problem_of(folder)


def test_amounts_never_pass_through_a_float(folder: Path, write: WriteModel) -> None:
    """A TOML number with twenty digits keeps them all."""
    write("tiny", least(rates="{ usd = 0.12345678901234567891 }"))
    (rate,) = Catalog(folder).get("tiny").routes[0].costs[0].rates
    assert rate.micros == Decimal("123456.78901234567891")


def test_the_operators_file_replaces_the_built_in_one(
    folder: Path, write: WriteModel, tmp_path: Path
) -> None:
    """A file in the operator's folder wins over the one of the same name."""
    write("tiny", least())
    operator = tmp_path / "own"
    operator.mkdir()
    (operator / "tiny.toml").write_text(least().replace('"Tiny"', '"Mine"'))
    builtin = tmp_path / "builtin"
    (folder / "models").rename(builtin)
    assert Catalog(builtin, operator).get("tiny").name == "Mine"


def test_the_operator_can_price_a_local_model(tmp_path: Path) -> None:
    """One line in overrides.toml sells what is free otherwise."""
    (tmp_path / "overrides.toml").write_text('[models.local-scene-t2v]\nprice_usd_per_second = "0.01"\n')
    catalog = Catalog(operator=tmp_path)
    assert price_of_default_clip(catalog.get("local-scene-t2v"), on=TODAY).micros == 50_000
    assert price_of_default_clip(catalog.get("local-parallax-i2v"), on=TODAY).micros == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[models.nothing]\nprice_usd_per_clip = "1"', "there is no model 'nothing'"),
        ("[models.veo-3]", "either price_usd_per_clip or price_usd_per_second"),
        ('[models.veo-3]\nprice_usd_per_hour = "1"', "there is no field 'price_usd_per_hour'"),
        ('[routes."veo-3:luma"]\ncost_usd_per_clip = "1"', 'write "model:provider"'),
    ],
)
def test_an_override_of_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A misspelt override does not silently leave the old price in force."""
    path = tmp_path / "overrides.toml"
    path.write_text(text)
    found = problem_of(Catalog().builtin, tmp_path)
    assert found.startswith(f"{path}:1: ") or found.startswith(f"{path}:2: ")
    assert said in found


def test_the_catalog_is_found_installed_and_in_a_checkout(tmp_path: Path) -> None:
    """A wheel carries its own catalog, a checkout has it at its root, and neither is told as such."""
    package = tmp_path / "src" / "fairstack_server"
    with pytest.raises(CatalogError, match="there is no catalog here"):
        builtin_dir(package)
    (tmp_path / "catalog" / "models").mkdir(parents=True)
    assert builtin_dir(package) == tmp_path / "catalog"
    (package / "_catalog" / "models").mkdir(parents=True)
    assert builtin_dir(package) == package / "_catalog"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong FAIRSTACK_CATALOG_DIR is told as such."""
    assert "FAIRSTACK_CATALOG_DIR names no folder" in problem_of(Catalog().builtin, tmp_path / "nowhere")
