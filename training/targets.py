"""What the regression heads are taught: the pseudo-label, fitted and standardised on training crops alone.

Owns which crops are looked at and the refusal of constant targets. Labels are `napari_hogseg.features`';
where their arrays are kept is `napari_hogseg.runs`' business.

Axes: N crops, D values of the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.features.pseudo_labels import ZERO, FittedLabel
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.target_label import MEAN, SCALE, restore_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from napari_hogseg.data.torch_data import FrameDataset
    from napari_hogseg.features.pseudo_labels import PseudoLabel
    from napari_hogseg.runs.config import HogConfig, TargetConfig

    Arrays = dict[str, npt.NDArray[np.float32]]

MIN_VARIANCE = 1e-8
"""Below it a target counts as constant; HOG's is about 0.01, mean gradients' of a dim video about 1e-5."""

CHECKED_CROPS = 16
"""Crops that tell whether a target varies, where nothing has to be fitted."""

_BATCH = 16


@dataclass(frozen=True)
class Target:
    """A label ready to be computed, and the arrays that make it again."""

    label: PseudoLabel
    arrays: Arrays


def fit_target(config: TargetConfig, hog: HogConfig, frames: FrameDataset, seed: int) -> Target:
    """Make the label of a new run; whatever is estimated, is estimated on crops of `frames`.

    Parameters
    ----------
    config : TargetConfig
    hog : HogConfig
    frames : FrameDataset
        Training frames and nothing else. Those without masks count: no mask is looked at, and the heads
        are taught on them too.
    seed : int
        Of the mixture's start.

    Raises
    ------
    InputError
        If the label is constant and not the control, or cannot be fitted.
    """
    label = config.label(hog)
    estimates = config.standardise or isinstance(label, FittedLabel)
    count = config.fit_frames if estimates else CHECKED_CROPS
    # A mere check leaves a damaged frame to the training, which has its events open when it meets it.
    crops = list(training_crops(frames, count, skip_bad=not estimates))
    if not crops:
        return Target(label, {})
    arrays: Arrays = {}
    if isinstance(label, FittedLabel):
        arrays |= label.fit(crops, seed)
        label = label.with_arrays(arrays)
    values_ND = _values(label, crops)
    if label.name != ZERO:
        _refuse_constant(values_ND, label.name, num_frames=len(frames))
    if config.standardise:
        arrays |= _statistics(values_ND)
    return restore_target(config, hog, arrays)


def restore_target(
    config: TargetConfig, hog: HogConfig, arrays: Mapping[str, npt.NDArray[np.float32]]
) -> Target:
    """Make the label of a stored run from its arrays.

    Raises
    ------
    InputError
        If the arrays are not those of the configuration.
    """
    return Target(restore_label(config, hog, arrays), dict(arrays))


def training_crops(
    frames: FrameDataset, count: int, *, skip_bad: bool = False
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield `count` crops (S, S, 3) as training sees them: spread over the frames, then over epochs."""
    for key in spread_keys(len(frames), count):
        try:
            item = frames[key]
        except InputError:
            if not skip_bad:
                raise
            continue
        yield item["image"].permute(1, 2, 0).numpy()


def spread_keys(num_frames: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield `count` keys (epoch, index): evenly spread frames, or every frame over several epochs."""
    for draw in range(count):
        yield (0, draw * num_frames // count) if num_frames >= count else divmod(draw, num_frames)


def _values(label: PseudoLabel, crops: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    parts = [label.compute(np.stack(crops[i : i + _BATCH])) for i in range(0, len(crops), _BATCH)]
    return np.concatenate(parts).astype(np.float64)


def _statistics(values_ND: npt.NDArray[np.float64]) -> Arrays:
    deviation = values_ND.std(axis=0)
    # A value that never moves (a bin no gradient falls into) stays at 0 instead of amplifying noise.
    scale = np.where(deviation**2 < MIN_VARIANCE, 1.0, deviation)
    return {MEAN: values_ND.mean(axis=0).astype(np.float32), SCALE: scale.astype(np.float32)}


def _refuse_constant(values_ND: npt.NDArray[np.float64], name: str, *, num_frames: int) -> None:
    # One frame may look the same in every crop: then its values must at least differ among themselves.
    variance = float(values_ND.var(axis=0).mean()) if num_frames > 1 else float(values_ND.var())
    if variance < MIN_VARIANCE:
        raise InputError(
            f"The pseudo-label is constant: its variance over {len(values_ND)} training crops is "
            f"{variance:.1e}, so the heads would learn nothing",
            where=f"target.kind {name}",
            remedy="Choose another target.kind. To train on a constant on purpose, as a control, "
            f"ask for kind = '{ZERO}'.",
        )
