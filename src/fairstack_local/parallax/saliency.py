"""What stands out in a photograph, by the U2-Net weights that an installed package carries."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from fairstack_local.kernels import available_cores

Mask = npt.NDArray[np.float32]
Photo = npt.NDArray[np.uint8]

_SIDE = 320
_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_SPREAD = np.array((0.229, 0.224, 0.225), np.float32)


def weights_path() -> Path:
    """Where the weights lie; raises FileNotFoundError when the package that carries them is not installed."""
    # Found without importing: the package itself would load much more than its one file.
    package = importlib.util.find_spec("rembg")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "u2netp.onnx"
        if path.is_file():
            return path
    raise FileNotFoundError("the saliency weights u2netp.onnx are missing; install fairstack[local]")


@cache
def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def saliency(photo: Photo) -> Mask:
    """How much each pixel belongs to what stands out, 0..1, in the photograph's size."""
    small = cv2.resize(photo, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    small /= max(float(small.max()), 1.0)
    batch = ((small - _MEAN) / _SPREAD).transpose(2, 0, 1)[None]
    session = _session(weights_path())
    answer: Mask = session.run(None, {session.get_inputs()[0].name: batch})[0][0, 0]
    low, high = float(answer.min()), float(answer.max())
    answer = (answer - low) / max(high - low, 1e-6)
    height, width = photo.shape[:2]
    return cv2.resize(answer, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
