"""How often each class occurs in the training masks, and the weights and repeats that follow from it.

Legend: N frames, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_hogseg.data.layouts import DataSet, Sample


def count_pixels(dataset: DataSet, samples: Sequence[Sample]) -> npt.NDArray[np.int64]:
    """Count the pixels of every class in every mask, at native size: each mask is read once.

    Returns
    -------
    (N, C) int64 ndarray
        Ignored pixels are not counted; a frame without a mask has zeros.
    """
    counts = np.zeros((len(samples), dataset.scheme.num_classes), np.int64)
    for row, sample in zip(counts, samples, strict=True):
        if sample.mask_path is not None:
            row[:] = np.bincount(dataset.read_mask(sample).ravel(), minlength=IGNORE + 1)[: row.size]
    return counts


def inverse_frequency(counts_NC: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weigh each class by 1 / its share of all pixels, divided by the number of classes there are.

    Every class then weighs the same in total, and the mean weight of a pixel is 1.

    Returns
    -------
    (C,) float32 ndarray
        1 for a class that no mask holds: no pixel ever asks for it.
    """
    pixels = counts_NC.sum(0)
    present = pixels > 0
    return _where(present, pixels.sum() / present.sum(), pixels)


def median_frequency(counts_NC: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weigh each class by the median frequency / its own; its own counts only the frames that hold it.

    Returns
    -------
    (C,) float32 ndarray
        1 for a class that no mask holds.

    References
    ----------
    Eigen and Fergus, Predicting Depth, Surface Normals and Semantic Labels, ICCV 2015, section 6.3.2.
    """
    holds = counts_NC > 0
    present = counts_NC.sum(0) > 0
    seen = (holds * counts_NC.sum(1, keepdims=True)).sum(0)
    frequency = counts_NC.sum(0) / np.maximum(seen, 1)
    return _where(present, float(np.median(frequency[present])), frequency)


def _where(
    present: npt.NDArray[np.bool_], numerator: float, denominator: npt.NDArray[np.generic]
) -> npt.NDArray[np.float32]:
    weights = np.ones(present.shape)
    np.divide(numerator, denominator, out=weights, where=present)
    return weights.astype(np.float32)


def repeat_factors(counts_NC: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.float64]:
    """How often a frame is met in an epoch: the largest sqrt(threshold / f) of its classes, at least 1.

    Parameters
    ----------
    counts_NC : (N, C) int64 ndarray
    threshold : float
        A class in a smaller share f of the frames than this is rare.

    Returns
    -------
    (N,) float64 ndarray

    References
    ----------
    Gupta et al., LVIS, CVPR 2019, appendix on repeat factor sampling.
    """
    holds = counts_NC > 0
    share = np.maximum(holds.mean(0), 1 / len(counts_NC))  # an absent class repeats nothing
    factors: npt.NDArray[np.float64] = np.where(holds, np.sqrt(threshold / share), 1.0).max(1)
    return np.maximum(factors, 1.0)
