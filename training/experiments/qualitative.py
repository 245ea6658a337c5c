"""The paper's figures 6 to 9: image, truth, baseline, ours, with the mended places found, not chosen by hand.

A place is a connected component of pixels that the baseline has wrong and ours has right. Frames are taken by
their largest such component, so the figure shows ours at its best; what ours breaks is counted in the title
of each row, over the whole frame.

Legend: H, W native size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from skimage import measure
from skimage.morphology import closing, disk

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.data.splits import split_samples
from napari_hogseg.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample
    from napari_hogseg.data.scheme import LabelScheme

    Mask = npt.NDArray[np.uint8]

FAILS, MENDS = "#E00000", "#00B000"
BOXES = 3
"""Places that are boxed in a frame."""

MIN_SHARE = 2e-4
"""A smaller place than this share of the frame is a ragged edge, not an error that one sees."""

JOIN_PX = 3
"""Places nearer than this are one."""

DPI = 150


@dataclass(frozen=True)
class Place:
    """A connected component that ours mends.

    Attributes
    ----------
    area_px : int
    box : tuple of int
        First row and column, last row and column + 1.
    """

    area_px: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Row:
    """A frame of the figure."""

    name: str
    frame: npt.NDArray[np.uint8]
    truth: Mask
    baseline: Mask
    ours: Mask
    places: tuple[Place, ...]
    mended_px: int
    broken_px: int

    @property
    def masks(self) -> tuple[Mask, Mask, Mask]:
        """Truth, baseline, ours."""
        return self.truth, self.baseline, self.ours


def mended_places(truth: Mask, baseline: Mask, ours: Mask) -> tuple[Place, ...]:
    """Find what ours mends of the baseline's errors, largest first.

    Parameters
    ----------
    truth, baseline, ours : (H, W) uint8 array
        Class ids; ignored pixels of the truth count nowhere.

    Returns
    -------
    tuple of Place
        Areas count mended pixels alone, not what joins them.
    """
    mended = (truth != IGNORE) & (baseline != truth) & (ours == truth)
    joined = closing(mended, disk(JOIN_PX))
    regions = measure.regionprops(measure.label(joined), intensity_image=mended.astype(np.uint8))
    places = []
    for region in regions:
        top, left, bottom, right = map(int, region.bbox)
        places.append(Place(int(region.image_intensity.sum()), (top, left, bottom, right)))
    smallest = MIN_SHARE * truth.size
    return tuple(sorted((p for p in places if p.area_px >= smallest), key=lambda p: -p.area_px))


def find_rows(
    dataset: DataSet, samples: Sequence[Sample], models: tuple[Predictor, Predictor], count: int
) -> list[Row]:
    """Predict every sample by both models and keep the frames with the largest mended places.

    Parameters
    ----------
    dataset : DataSet
    samples : sequence of Sample
        Each with a mask.
    models : tuple of Predictor
        Baseline and ours.
    count : int
        Rows at most; frames where nothing is mended are left out.
    """
    rows: list[Row] = []
    for row in _compared(dataset, samples, models):
        # Only the best are held: a data set's frames would not fit into memory.
        rows = sorted([*rows, row], key=lambda one: -one.places[0].area_px)[:count]
    return rows


def _compared(
    dataset: DataSet, samples: Sequence[Sample], models: tuple[Predictor, Predictor]
) -> Iterator[Row]:
    first, second = models
    for sample in samples:
        frame, truth = dataset.read_pair(sample)
        baseline, ours = first.predict(frame), second.predict(frame)
        places = mended_places(truth, baseline, ours)
        counts = truth != IGNORE
        if places:
            yield Row(
                sample.sample_id,
                *(frame, truth, baseline, ours, places),
                mended_px=int((counts & (baseline != truth) & (ours == truth)).sum()),
                broken_px=int((counts & (baseline == truth) & (ours != truth)).sum()),
            )


def draw_rows(rows: Sequence[Row], scheme: LabelScheme, titles: tuple[str, str], path: Path) -> None:
    """Draw the rows, four pictures each, with a legend of the classes."""
    height, width = rows[0].truth.shape
    cell = 2.6
    figure = Figure(figsize=(4 * cell, len(rows) * (cell * height / width + 0.3) + 0.7), layout="constrained")
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        pictures = [row.frame, *(_colored(mask, row.truth, scheme) for mask in row.masks)]
        for one, picture in zip(axes, pictures, strict=True):
            one.imshow(picture)
            one.set_xticks([])
            one.set_yticks([])
        for one, color in ((axes[2], FAILS), (axes[3], MENDS)):
            for place in row.places[:BOXES]:
                one.add_patch(_box(place, row.truth.shape, color))
        axes[0].set_ylabel(row.name.rpartition("/")[2], fontsize=7)
        axes[3].set_xlabel(f"mends {row.mended_px:,} px, breaks {row.broken_px:,} px", fontsize=7)
    for one, title in zip(grid[0], ("image", "truth", *titles), strict=True):
        one.set_title(title, fontsize=9)
    present = sorted({int(v) for row in rows for mask in row.masks for v in np.unique(mask)})
    handles = [
        Patch(color=_as_share(scheme.colors[v]), label=scheme.classes[v]) for v in present if v != IGNORE
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def _colored(mask: Mask, truth: Mask, scheme: LabelScheme) -> npt.NDArray[np.uint8]:
    """Give a mask its colours; what the truth ignores is black in every panel, as it is scored in none."""
    colors = scheme.color_table()[mask].astype(np.uint8)[..., :3]
    return np.where((truth == IGNORE)[..., None], np.uint8(0), colors)


def _as_share(color: Sequence[int]) -> tuple[float, float, float]:
    red, green, blue = (value / 255 for value in color[:3])
    return red, green, blue


def _box(place: Place, shape: tuple[int, ...], color: str) -> Rectangle:
    """Frame a place, with a margin that keeps its edge in sight."""
    margin = 0.01 * max(shape)
    top, left, bottom, right = place.box
    return Rectangle(
        (left - margin, top - margin),
        right - left + 2 * margin,
        bottom - top + 2 * margin,
        fill=False,
        edgecolor=color,
        linewidth=1.5,
    )


def draw_comparison(
    models: tuple[Path, Path], titles: tuple[str, str], part: str, num_rows: int, path: Path, device: str
) -> tuple[str, ...]:
    """Draw where the second of two models mends the first; returns the frames shown.

    Nothing is drawn, and nothing returned, where it mends nothing that can be seen.
    """
    baseline, ours = (Predictor.load(model, device) for model in models)
    data = baseline.spec.data
    dataset = open_dataset(data.root, data.layout)
    split = split_samples(dataset, data.train, data.val, data.test, split=data.split)
    rows = find_rows(dataset, split.part(part), (baseline, ours), num_rows)
    if rows:
        draw_rows(rows, dataset.scheme, titles, path)
    return tuple(row.name for row in rows)
