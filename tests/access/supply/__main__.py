"""`make audit`: what is delivered, from where, under which licences, and that it can be built again.

python -m tests.access.supply [--sbom build/fairstack.cdx.json]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from tests.access.supply.keys import keys_in
from tests.access.supply.licences import is_allowed, licence_of
from tests.access.supply.lock import INSTALLERS, OURS, Pin, changed_files, differences, name_of, read_lock
from tests.access.supply.sbom import bill_of_materials
from tests.access.supply.wheel import build_twice
from tests.campaigns import Figure, report

ROOT = Path(__file__).resolve().parents[3]
SHOWN = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Check everything, write the bill of materials; 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sbom", type=Path, default=ROOT / "build" / "fairstack.cdx.json")
    told = parser.parse_args(arguments)
    run, dev = read_lock(ROOT / "requirements.lock"), read_lock(ROOT / "requirements-dev.lock")
    installed = list(distributions())
    delivered = [each for each in installed if name_of(each) in {*run, OURS}]
    told.sbom.parent.mkdir(parents=True, exist_ok=True)
    told.sbom.write_text(bill_of_materials(delivered, run), encoding="utf-8")
    with tempfile.TemporaryDirectory() as work:
        builds = build_twice(ROOT, Path(work))
    return report(
        [
            _locks(run, dev),
            _installed(installed, {**run, **dev}),
            _files(installed),
            _licences(delivered),
            Figure(
                "two builds of the wheel",
                f"sha256 {builds[0][:16]} and {builds[1][:16]}",
                len(set(builds)) == 1,
            ),
            _keys(ROOT),
            Figure("bill of materials", f"{len(delivered)} packages, {told.sbom.name}"),
        ],
        "NOT CHECKED: known vulnerabilities. That needs a database from the network:",
        "pip-audit --require-hashes -r requirements.lock",
    )


def _locks(run: dict[str, Pin], dev: dict[str, Pin]) -> Figure:
    apart = sorted(name for name in run.keys() & dev.keys() if run[name].version != dev[name].version)
    pins = len(run.keys() | dev.keys())
    return Figure("locks", _said(f"{pins} packages, each with a version and hashes", apart), not apart)


def _installed(installed: list[Distribution], pins: dict[str, Pin]) -> Figure:
    found = differences(installed, pins)
    return Figure("installed as locked", _said(f"{len(installed)} packages", found), not found)


def _files(installed: list[Distribution]) -> Figure:
    compared = 0
    changed: list[str] = []
    for package in installed:
        if name_of(package) not in {*INSTALLERS, OURS}:
            count, others = changed_files(package)
            compared, changed = compared + count, changed + others
    return Figure("files as delivered", _said(f"{compared:,} files compared", changed), not changed)


def _licences(delivered: list[Distribution]) -> Figure:
    said = {name_of(package): licence_of(package) for package in delivered}
    refused = [f"{name}: {licence}" for name, licence in sorted(said.items()) if not is_allowed(licence)]
    return Figure(
        "licences", _said(f"{len(set(said.values()))} expressions, all allowed", refused), not refused
    )


def _keys(root: Path) -> Figure:
    searched, found = keys_in(root)
    return Figure("keys in the repository", _said(f"{searched:,} files searched", found), not found)


def _said(good: str, bad: list[str]) -> str:
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return "; ".join(bad[:SHOWN]) + more if bad else good


if __name__ == "__main__":
    sys.exit(main())
