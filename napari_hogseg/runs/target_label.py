"""The pseudo-label of a stored model, made again from its configuration and its fitted arrays.

Fitting is the training's business (`training.targets`), keeping the arrays `checkpoint`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hogseg.features.pseudo_labels import FittedLabel, Standardised
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.features.pseudo_labels import PseudoLabel
    from napari_hogseg.runs.config import HogConfig, TargetConfig

MEAN, SCALE = "standard.mean", "standard.scale"


def restore_label(
    config: TargetConfig, hog: HogConfig, arrays: Mapping[str, npt.NDArray[np.float32]]
) -> PseudoLabel:
    """Make the label that a model's heads were taught.

    Raises
    ------
    InputError
        If the arrays are not those of the configuration.
    """
    label = config.label(hog)
    if isinstance(label, FittedLabel):
        label = label.with_arrays(arrays)
    if not config.standardise:
        return label
    for name in (MEAN, SCALE):
        if name not in arrays or arrays[name].shape != (label.dim,):
            raise InputError(
                "The model's target statistics are not of its configuration",
                where=name,
                remedy="model.toml and target.safetensors must come from one run.",
            )
    return Standardised(label, arrays[MEAN], arrays[SCALE])
