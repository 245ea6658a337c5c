"""A generated surgical clip with masks, its generator and a small trained model.

The functions give where things lie, in a checkout and in an installed wheel alike.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["clip_path", "masks_path", "model_path", "scheme_path"]

_FOLDER = Path(__file__).parent


def clip_path() -> Path:
    """Return the H.264 clip, 512 x 288 pixels at 25 frames a second."""
    return _FOLDER / "clip.mp4"


def masks_path() -> Path:
    """Return the folder of index PNGs, `frame_000000.png` for the first frame of the clip."""
    return _FOLDER / "masks"


def scheme_path() -> Path:
    """Return the `dataset.toml` that names the classes of the masks."""
    return _FOLDER / "dataset.toml"


def model_path() -> Path:
    """Return the model folder: a small multi-task network trained on clips of other seeds."""
    return _FOLDER / "model"
