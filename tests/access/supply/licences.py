"""The licence of each package, as an SPDX expression, and which of them we deliver under."""

from __future__ import annotations

import re
from importlib.metadata import Distribution

#: What may be delivered with Apache-2.0 software without asking more of who runs it; MPL-2.0 binds only
#: its own files.
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Zlib",
    }
)

#: How packages without an SPDX expression call their licence.
_SPOKEN = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
_EXPRESSION = re.compile(r"[A-Za-z0-9.()+ -]{1,100}")
_EXCEPTION = re.compile(r" WITH [A-Za-z0-9.-]+")


def licence_of(distribution: Distribution) -> str:
    """The SPDX expression of a package, or what it calls its licence in its own words."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    spoken = metadata["License"].strip().split("\n", 1)[0] if "License" in metadata else ""
    if spoken and _terms_allowed(_spdx(spoken)):
        return _spdx(spoken)
    classified = [
        _spdx(line.rpartition(" :: ")[2])
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: ")
    ]
    return " OR ".join(classified) or spoken or "none stated"


def is_allowed(expression: str) -> bool:
    """Whether a package may be delivered: of an OR one side is enough, of an AND every one is needed."""
    if not _EXPRESSION.fullmatch(expression):
        return False
    return _terms_allowed(expression)


def _terms_allowed(expression: str) -> bool:
    # An exception only takes conditions away.
    plain = _EXCEPTION.sub("", expression).replace("(", " ").replace(")", " ")
    return any(all(term.strip() in ALLOWED for term in side.split(" AND ")) for side in plain.split(" OR "))


def _spdx(words: str) -> str:
    return _SPOKEN.get(words.lower().strip(), words.strip())
