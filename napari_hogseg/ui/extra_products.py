"""What the panels beside the first four show: the HOG residual, and the difference of two models. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.inference.residual import hog_residual
from napari_hogseg.io.errors import InputError
from napari_hogseg.ui.products import difference_map

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_hogseg.inference.predictor import Predictor
    from napari_hogseg.ui.products import FrameView

#: Squared error of a descriptor's value that is drawn white; fixed, so that frames compare.
RESIDUAL_WHITE = 0.03
NO_PREVIOUS = "Load a second model to see where the two differ."
OTHER_CLASSES = "The two models have other classes: there is nothing to compare."


@dataclass(frozen=True, eq=False)
class ExtrasRequest:
    """What `make_extras` works on.

    `stage` is the decoder stage whose residual is drawn, None for their mean. `wanted` holds keys of panels,
    `theirs` the other model's prediction where it is known.
    """

    view: FrameView
    predictor: Predictor
    previous: Predictor | None
    ours: npt.NDArray[np.uint8]
    theirs: npt.NDArray[np.uint8] | None
    truth: npt.NDArray[np.uint8] | None
    wanted: tuple[str, ...]
    stage: int | None = None


@dataclass(frozen=True, eq=False)
class Extras:
    """Of one frame.

    Attributes
    ----------
    frame_index : int
    frame : (H, W, 3) uint8 ndarray or None
    wanted : tuple of str
        Keys of the panels these are for.
    residual_map, difference : (H, W) uint8 ndarray or None
    residual_note, difference_note : str
        What the dock says of each: a figure, or why there is nothing.
    """

    frame_index: int
    frame: npt.NDArray[np.uint8] | None = field(repr=False)
    wanted: tuple[str, ...]
    residual_map: npt.NDArray[np.uint8] | None = None
    difference: npt.NDArray[np.uint8] | None = None
    residual_note: str = ""
    difference_note: str = ""

    @classmethod
    def failed(cls, frame_index: int, why: str) -> Extras:
        """Say why there is nothing."""
        return cls(frame_index, None, (), residual_note=why, difference_note=why)


def make_extras(request: ExtrasRequest) -> Extras:
    """Compute what is wanted; runs in a worker."""
    difference, note = _difference(request) if "difference" in request.wanted else (None, "")
    residual, residual_note = _residual(request) if "residual" in request.wanted else (None, "")
    return Extras(
        request.view.frame_index,
        request.view.frame,
        request.wanted,
        residual_map=residual,
        difference=difference,
        residual_note=residual_note,
        difference_note=note,
    )


def _residual(request: ExtrasRequest) -> tuple[npt.NDArray[np.uint8] | None, str]:
    """Draw the mean of the stages' maps, or one stage's; `RESIDUAL_WHITE` and more is white."""
    try:
        residual = hog_residual(request.predictor, request.view.frame)
    except InputError as error:
        return None, error.what
    stages = ", ".join(f"{error:.4f}" for error in residual.by_stage)
    note = f"HOG residual {residual.total:.4f}, by stage from the finest: {stages}"
    if not residual.maps:
        return None, f"{note}. This target has no place in the frame: there is nothing to draw."
    pictures = residual.pictures(*request.view.frame.shape[:2])
    chosen = (
        pictures if request.stage is None else pictures[request.stage : request.stage + 1] or pictures[-1:]
    )
    mean = np.mean(chosen, axis=0)
    return np.rint(255 * np.sqrt(np.clip(mean / RESIDUAL_WHITE, 0, 1))).astype(np.uint8), note


def _difference(request: ExtrasRequest) -> tuple[npt.NDArray[np.uint8] | None, str]:
    previous = request.previous
    if previous is None:
        return None, NO_PREVIOUS
    if previous.scheme.classes != request.predictor.scheme.classes:
        return None, OTHER_CLASSES
    theirs = previous.predict(request.view.frame) if request.theirs is None else request.theirs
    marks = difference_map(request.ours, theirs, request.truth)
    share = 100 * float((marks > 0).mean())
    return marks, f"{request.predictor.name} and {previous.name} differ on {share:.1f} % of the pixels."
