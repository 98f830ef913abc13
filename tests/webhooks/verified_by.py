"""Our signatures, verified by others: `make signatures`.

`python -m tests.webhooks.verified_by SAMPLES --venv PYTHON` takes deliveries that the campaign kept
(`python -m tests.webhooks.campaign --samples SAMPLES`) and has them verified by libraries of PyPI and npm.
Each must take every genuine delivery, and refuse the same one changed in seven ways.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.campaigns import Figure, report
from tests.webhooks.verify_by_library import LIBRARIES, Trial

_ROOT = Path(__file__).parents[2]
_NODE_SCRIPT = Path(__file__).parent / "verify_by_standardwebhooks.mjs"
_PAST_TOLERANCE_SECONDS = 301
#: Characters of a signature's 44 in which every bit counts: the 43rd has two that no decoder reads.
_SIGNIFICANT = 42
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def genuine(sample: Mapping[str, Any]) -> Trial:
    """The delivery as it was sent, at the moment it was sent."""
    headers = dict(sample["headers"])
    return Trial(
        secret=sample["secret"], body=sample["body"], headers=headers, now=int(headers["webhook-timestamp"])
    )


def _with_header(trial: Trial, name: str, value: str) -> Trial:
    return {**trial, "headers": {**trial["headers"], name: value}}


def _other_body(trial: Trial, dice: random.Random) -> Trial:
    at = dice.randrange(len(trial["body"]))
    flipped = chr(ord(trial["body"][at]) ^ 1)
    return {**trial, "body": trial["body"][:at] + flipped + trial["body"][at + 1 :]}


def _other_id(trial: Trial, dice: random.Random) -> Trial:
    return _with_header(trial, "webhook-id", f"{trial['headers']['webhook-id']}{dice.randrange(10)}")


def _other_stamp(trial: Trial, dice: random.Random) -> Trial:
    stamp = int(trial["headers"]["webhook-timestamp"]) + dice.choice((-1, 1))
    return _with_header(trial, "webhook-timestamp", str(stamp))


def _other_signature(trial: Trial, dice: random.Random) -> Trial:
    signature = trial["headers"]["webhook-signature"]
    at = len("v1,") + dice.randrange(_SIGNIFICANT)
    other = dice.choice(_BASE64.replace(signature[at], ""))
    return _with_header(trial, "webhook-signature", signature[:at] + other + signature[at + 1 :])


def _other_secret(trial: Trial, dice: random.Random) -> Trial:
    at = len("whsec_") + dice.randrange(_SIGNIFICANT // 2)
    other = dice.choice(_BASE64.replace(trial["secret"][at], ""))
    return {**trial, "secret": trial["secret"][:at] + other + trial["secret"][at + 1 :]}


def _too_late(trial: Trial, dice: random.Random) -> Trial:
    return {**trial, "now": trial["now"] + _PAST_TOLERANCE_SECONDS}


def _too_early(trial: Trial, dice: random.Random) -> Trial:
    return {**trial, "now": trial["now"] - _PAST_TOLERANCE_SECONDS}


#: Ways to change a delivery so that nobody may take it.
CHANGES: Sequence[Callable[[Trial, random.Random], Trial]] = (
    _other_body,
    _other_id,
    _other_stamp,
    _other_signature,
    _other_secret,
    _too_late,
    _too_early,
)


def judge(name: str, command: Sequence[str], samples: Sequence[Mapping[str, Any]], seed: int) -> Figure:
    """One library: what it takes of the genuine deliveries and of the changed ones."""
    dice = random.Random(seed)
    good = [genuine(sample) for sample in samples]
    bad = [change(trial, dice) for trial in good for change in CHANGES]
    done = subprocess.run(
        command, input=json.dumps(good + bad), capture_output=True, text=True, check=False, cwd=_ROOT
    )
    if done.returncode != 0:
        return Figure(name, f"DID NOT RUN: {done.stderr.strip()[-500:]}", holds=False)
    told = json.loads(done.stdout)
    taken, forged = sum(told["taken"][: len(good)]), sum(told["taken"][len(good) :])
    said = f"{taken:,} of {len(good):,} taken, {len(bad) - forged:,} of {len(bad):,} changed ones refused"
    holds = taken == len(good) > 0 and forged == 0 and len(told["taken"]) == len(good) + len(bad)
    return Figure(f"{name} {told['version']}", said, holds)


def run(samples: Sequence[Mapping[str, Any]], python: str, seed: int) -> list[Figure]:
    """Every library of Python, then npm's."""
    module = "tests.webhooks.verify_by_library"
    figures = [judge(name, [python, "-W", "ignore", "-m", module, name], samples, seed) for name in LIBRARIES]
    node = shutil.which("node")
    if node is None:
        return [*figures, Figure("standardwebhooks, npm", "NOT RUN: no node on this machine", holds=False)]
    return [*figures, judge("standardwebhooks, npm", [node, str(_NODE_SCRIPT)], samples, seed)]


def main() -> int:
    """Read the samples, have them verified, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("samples", type=Path, help="what the campaign wrote with --samples")
    parser.add_argument("--venv", default=sys.executable, help="python of a venv with the libraries")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    samples = json.loads(told.samples.read_text())
    began = time.monotonic()
    figures = run(samples, told.venv, told.seed)
    return report(figures, f"seed {told.seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
