"""Where compiled kernels are kept, and the environment of the processes that use them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: Everything of the parent's environment that a renderer process may see: no key or secret is among it.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "PYTHONDONTWRITEBYTECODE",
)


def default_cache_dir() -> Path:
    """The user's own cache folder for this engine, after the XDG rules."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fairstack" / "local-engine"


def kernel_cache_dir(cache_dir: Path) -> Path:
    """The folder for kernels compiled from exactly these sources.

    Numba looks only at the file of a kernel, not at what it calls: without the digest in the path, a kernel
    that was compiled around an older helper would go on being used after an upgrade.
    """
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for source in sorted(package.rglob("*.py")):
        digest.update(str(source.relative_to(package)).encode() + b"\0" + source.read_bytes() + b"\0")
    return cache_dir / "kernels" / digest.hexdigest()[:16]


def renderer_environment(cache_dir: Path) -> dict[str, str]:
    """The whole environment of a renderer process: a few harmless variables and its kernel cache."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {
        "NUMBA_CACHE_DIR": str(kernel_cache_dir(cache_dir)),
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "PYTHONSAFEPATH": "1",
    }
