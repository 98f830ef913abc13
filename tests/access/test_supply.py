"""`make audit` sees what is wrong with what is delivered: planted damage is named."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PathDistribution, distributions
from pathlib import Path

import pytest

from fairstack_server.ids import new_api_key
from tests.access.supply.__main__ import ROOT
from tests.access.supply.keys import keys_in
from tests.access.supply.licences import is_allowed, licence_of
from tests.access.supply.lock import LockError, changed_files, differences, name_of, read_lock
from tests.access.supply.sbom import bill_of_materials
from tests.access.supply.wheel import build_twice

HASH = f"--hash=sha256:{'0' * 64}"


def package(folder: Path, name: str = "Some.Package", version: str = "1.2.3", more: str = "") -> Distribution:
    """A package as pip leaves it, of one module."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{more}\n")
    (folder / "module.py").write_text("answer = 42\n")
    digest = "sha256=CndQInRPZMNShj8WXy4SWJhBmZm8V8gyBHcgNtDvay4"
    (info / "RECORD").write_text(f"module.py,{digest},12\n{info.name}/RECORD,,\n")
    return PathDistribution(info)


def lock(folder: Path, text: str) -> Path:
    """A lock file."""
    path = folder / "requirements.lock"
    path.write_text(text)
    return path


def test_the_locks_are_whole() -> None:
    """Every requirement of both lock files has one version and hashes, and they agree with each other."""
    run, dev = (read_lock(ROOT / f"requirements{which}.lock") for which in ("", "-dev"))
    assert len(run) > 40
    assert {name: pin.version for name, pin in run.items()}.items() <= {
        n: p.version for n, p in dev.items()
    }.items()


@pytest.mark.parametrize("line", ["aiohttp==3.14.5", f"aiohttp>=3 \\\n    {HASH}", f"aiohttp \\\n    {HASH}"])
def test_a_lock_without_version_or_hash_is_refused(tmp_path: Path, line: str) -> None:
    """A requirement that an index could answer as it likes is an error that names it."""
    with pytest.raises(LockError, match="aiohttp"):
        read_lock(lock(tmp_path, f"anyio==1.0 \\\n    {HASH}\n{line}\n"))


def test_what_is_not_as_locked_is_named(tmp_path: Path) -> None:
    """Another version, one too much, one missing; what is for other systems is not missed."""
    text = (
        f"some-package==1.2.4 \\\n    {HASH}\nmissing==1 \\\n    {HASH}\n"
        f"elsewhere==1 ; sys_platform == 'nowhere' \\\n    {HASH}\n"
    )
    pins = read_lock(lock(tmp_path, text))
    installed = [package(tmp_path / "a"), package(tmp_path / "b", "stray")]
    assert differences(installed, pins) == [
        "stray 1.2.3 is in no lock",
        "missing 1 is missing",
        "some-package is 1.2.3, not 1.2.4",
    ]


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    """One byte other than the package said of itself, or a file that is gone, is found."""
    found = package(tmp_path)
    (tmp_path / "module.py").write_text("answer = 42\n")
    compared, changed = changed_files(found)
    assert compared == 1
    (tmp_path / "module.py").write_text("answer = 43\n")
    assert changed_files(found)[1] == ["Some.Package: module.py"]
    (tmp_path / "module.py").unlink()
    assert changed_files(found)[1] == ["Some.Package: module.py"]
    assert changed == []


@pytest.mark.parametrize(
    ("metadata", "licence", "allowed"),
    [
        ("License-Expression: Apache-2.0 AND MIT", "Apache-2.0 AND MIT", True),
        ("License-Expression: GPL-3.0-only OR MIT", "GPL-3.0-only OR MIT", True),
        ("License-Expression: GPL-3.0-only", "GPL-3.0-only", False),
        ("License-Expression: MIT AND AGPL-3.0-only", "MIT AND AGPL-3.0-only", False),
        ("License: MIT License", "MIT", True),
        ("License: Commercial, ask us", "Commercial, ask us", False),
        ("Classifier: License :: OSI Approved :: ISC License", "ISC", True),
        ("", "none stated", False),
    ],
)
def test_licences_that_bind_are_refused(tmp_path: Path, metadata: str, licence: str, allowed: bool) -> None:
    """What is not on the list is refused, and so is a package that states nothing."""
    found = licence_of(package(tmp_path, more=metadata))
    assert (found, is_allowed(found)) == (licence, allowed)


def test_the_bill_names_every_package_once(tmp_path: Path) -> None:
    """Name, version, address and licence of each installed package; twice the same bytes."""
    pins = read_lock(ROOT / "requirements.lock")
    installed = list(distributions())
    text = bill_of_materials(installed, pins)
    assert text == bill_of_materials(reversed(installed), pins)
    document = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    named = {component["purl"] for component in document["components"]}
    assert named == {
        f"pkg:pypi/{name_of(each)}@{each.version}" for each in installed if each.name != "fairstack"
    }
    assert len(named) == len(document["components"])
    assert document["metadata"]["component"]["name"] == "fairstack"


def test_a_key_in_the_repository_is_found(tmp_path: Path) -> None:
    """A true key in any file is named; one of an example, whose check digits are wrong, is not."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("fs_live_" + "0" * 36)
    assert keys_in(tmp_path) == (1, [])
    (tmp_path / "notes.txt").write_text(f"mine: {new_api_key('test')}")
    assert keys_in(tmp_path) == (2, ["notes.txt"])


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """Built in two folders, of files of two dates, the wheel is the same."""
    one, other = build_twice(ROOT, tmp_path)
    assert one == other
