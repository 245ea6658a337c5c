"""Tiny data sets on disk for tests: real files, real masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.io import images

if TYPE_CHECKING:
    from pathlib import Path

SCHEME = LabelScheme(
    name="toy", classes=("background", "tool", "tissue"), colors=((0, 0, 0), (255, 200, 0), (200, 0, 60))
)


def toy_pair(seed: int, height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A frame whose colours tell its classes, with a textured background; and its mask."""
    rng = np.random.default_rng(seed)
    frame = rng.integers(60, 110, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    top, left = rng.integers(4, height // 2), rng.integers(4, width // 2)
    mask[top : top + height // 3, left : left + width // 3] = 1
    mask[-height // 5 :] = 2
    frame[mask == 1] = (230, 220, 200)
    frame[mask == 2] = (170, 30, 40)
    mask[0] = 255
    return frame, mask


def write_tree(root: Path, groups: dict[str, int], *, scheme: LabelScheme = SCHEME) -> Path:
    """Write images/ + masks/ + dataset.toml: `groups` maps a name to its number of frames."""
    for group_index, (group, count) in enumerate(groups.items()):
        (root / "images" / group).mkdir(parents=True)
        (root / "masks" / group).mkdir(parents=True)
        for number in range(count):
            frame, mask = toy_pair(100 * group_index + number)
            Image.fromarray(frame).save(root / "images" / group / f"frame_{number}.png")
            images.write_mask(root / "masks" / group / f"frame_{number}.png", mask, scheme.colors)
    (root / "dataset.toml").write_text(scheme.to_toml(), "utf-8")
    return root
