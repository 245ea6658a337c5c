"""What the HOG tests share: frames, drawn and real, and skimage as the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from skimage.feature import hog

if TYPE_CHECKING:
    from pathlib import Path


def drawn_frame(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Discs and bars of flat colour under mild noise: edges every way, flat areas, equal channels."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    frame = np.full((height, width, 3), (150, 60, 40), dtype=np.int64)
    for _ in range(6):
        row, col = rng.integers(0, height), rng.integers(0, width)
        radius = min(height, width) / rng.uniform(3, 8)
        frame[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = rng.integers(0, 256, 3)
        a, b = rng.normal(size=2)
        frame[np.abs(a * (rows - row) + b * (cols - col)) < 3] = rng.integers(
            0, 256
        )  # grey: all channels tie
    frame[: height // 2] += rng.integers(-3, 4, (height // 2, width, 3))
    return frame.clip(0, 255).astype(np.uint8)


def skimage_hog(frame, params, **options):
    """The reference; the paper's resize in front where the parameters ask for it."""
    if params.resize_rows is not None:
        image = Image.fromarray(frame).resize(
            (params.resize_cols, params.resize_rows), Image.Resampling.BICUBIC
        )
        frame = np.asarray(image)
    return hog(
        frame,
        orientations=params.orientations,
        pixels_per_cell=(params.cell_px, params.cell_px),
        cells_per_block=(params.block_cells, params.block_cells),
        block_norm="L2-Hys",
        channel_axis=-1,
        **options,
    )


def read_real_frames(shared_data: Path) -> np.ndarray:
    """(3, 512, 512, 3) uint8 from two operations."""
    folders = [shared_data / "vocalfolds" / "images" / f"patient2_seq{sequence}" for sequence in (5, 6, 7)]
    paths = [sorted(folder.glob("*.jpg"))[5] for folder in folders]
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
