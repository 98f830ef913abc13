"""The bill of materials: what is installed, as CycloneDX 1.6 in JSON, the same bytes for the same set."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution
from typing import Any

from tests.access.supply.licences import is_allowed, licence_of
from tests.access.supply.lock import OURS, Pin, name_of

_NAMESPACE = uuid.UUID("7c0d1fb2-3d0b-5f0a-9a53-0f1f6a5b9e57")


def bill_of_materials(installed: Iterable[Distribution], pins: Mapping[str, Pin]) -> str:
    """The document, for these packages; the ones of the lock carry the hashes that were checked."""
    packages = sorted(installed, key=name_of)
    own = [package for package in packages if name_of(package) == OURS]
    components = [
        _component(package, pins.get(name_of(package))) for package in packages if package not in own
    ]
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(components))}",
        "version": 1,
        "metadata": {"component": {**_named(own[0]), "type": "application"}} if own else {},
        "components": components,
    }
    return json.dumps(document, indent=2) + "\n"


def _component(package: Distribution, pin: Pin | None) -> dict[str, Any]:
    licence = licence_of(package)
    # Only an SPDX expression may stand where an expression is expected.
    said = {"expression": licence} if is_allowed(licence) else {"license": {"name": licence}}
    component = {**_named(package), "type": "library", "licenses": [said]}
    if pin is not None:
        # The lock knows every file of the version, for all systems: any of them may have been installed.
        component["properties"] = [
            {"name": "fairstack:locked-sha256", "value": digest} for digest in sorted(pin.hashes)
        ]
    return component


def _named(package: Distribution) -> dict[str, str]:
    reference = f"pkg:pypi/{name_of(package)}@{package.version}"
    return {"bom-ref": reference, "name": name_of(package), "version": package.version, "purl": reference}
