"""Fisher vectors of local HOG blocks: how a frame's blocks differ from a mixture fitted on training frames.

Owns the mixture's arrays and the encoding, in numpy, equal to `skimage.feature.fisher_vector(improved=True)`
(a test compares); only the fit needs scikit-learn, so a trained model runs without it.

Axes: N local descriptors, M values of one, K Gaussians; a Fisher vector has K + 2 * K * M values.

References
----------
Perronnin, Sanchez and Mensink, Improving the Fisher Kernel for Large-Scale Image Classification, ECCV 2010.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax
from skimage.feature import learn_gmm

from napari_hogseg.features.grid import HogGrid
from napari_hogseg.features.hog import HogParams, hog_features
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

POWER = 0.5
MAX_ITERATIONS = 200
WEIGHTS, MEANS, VARIANCES = "mixture.weights", "mixture.means", "mixture.variances"


def fisher_vector(
    descriptors_NM: npt.NDArray[Any], mixture: Mapping[str, npt.NDArray[Any]]
) -> npt.NDArray[np.float64]:
    """Encode local descriptors: gradients of the log-likelihood, power- and length-normalised.

    Parameters
    ----------
    descriptors_NM : (N, M) array
    mixture : mapping
        Weights (K,), means (K, M) and variances (K, M) of the Gaussians.

    Returns
    -------
    (K + 2 * K * M,) float64
        By weights, by means, by variances, in skimage's order and sign.
    """
    x = descriptors_NM.astype(np.float64)
    weights, means, variances = (mixture[n].astype(np.float64) for n in (WEIGHTS, MEANS, VARIANCES))
    offsets_NKM = x[:, None] - means
    squares_NKM = offsets_NKM**2 / variances
    log_density = np.log(weights) - 0.5 * (np.log(variances).sum(1) + squares_NKM.sum(2))
    shares_NK = np.exp(log_softmax(log_density, axis=1))
    root = np.sqrt(weights)
    by_weight = (shares_NK.mean(0) - weights) / root
    by_mean = np.einsum("nk,nkm->km", shares_NK, offsets_NKM / np.sqrt(variances)) / len(x) / root[:, None]
    by_variance = np.einsum("nk,nkm->km", shares_NK, 1 - squares_NKM) / len(x) / (np.sqrt(2) * root[:, None])
    vector = np.concatenate([by_weight, by_mean.ravel(), by_variance.ravel()])
    vector = np.sign(vector) * np.abs(vector) ** POWER
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


@dataclass(frozen=True)
class FisherLabel:
    """Fisher vector of the normalised blocks of the HOG preset.

    Attributes
    ----------
    hog : HogParams
        Its blocks are the local descriptors.
    num_modes : int
        Gaussians K.
    arrays : dict
        The fitted mixture; empty before.
    """

    hog: HogParams
    num_modes: int
    arrays: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    name: str = "fisher"

    @property
    def dim(self) -> int:
        """Length D = K + 2 * K * M."""
        return self.num_modes * (1 + 2 * HogGrid.of(self.hog).block_values)

    @property
    def grid(self) -> HogGrid:
        """A Fisher vector has forgotten where its blocks lay."""
        return HogGrid.whole_frame(self.dim)

    @property
    def array_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The mixture's arrays."""
        means = (self.num_modes, HogGrid.of(self.hog).block_values)
        return {WEIGHTS: (self.num_modes,), MEANS: means, VARIANCES: means}

    def compute(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute Fisher vectors (N, D) float32 of frames (N, H, W, 3) uint8."""
        if not self.arrays:
            raise InputError("The Fisher vector's mixture is not fitted", where="target.kind fisher")
        return np.stack([fisher_vector(blocks, self.arrays) for blocks in self._blocks(frames)]).astype(
            np.float32
        )

    def fit(self, frames: Sequence[npt.NDArray[np.uint8]], seed: int) -> dict[str, npt.NDArray[np.float32]]:
        """Fit the mixture on the blocks of frames, each (H, W, 3) uint8.

        Raises
        ------
        InputError
            If scikit-learn is missing, or the frames are too few for so many Gaussians.
        """
        blocks = np.concatenate([self._blocks(frame[None])[0] for frame in frames]).astype(np.float64)
        settings = {"covariance_type": "diag", "random_state": seed, "max_iter": MAX_ITERATIONS}
        try:
            with warnings.catch_warnings():
                # A mixture short of its optimum is as good a dictionary; the count of modes is arbitrary too.
                warnings.filterwarnings("ignore", message=".*converge.*")
                mixture = learn_gmm(blocks, n_modes=self.num_modes, gm_args=settings)
        except ImportError as error:
            raise InputError(
                "Fitting a Fisher vector needs scikit-learn",
                where="target.kind fisher",
                remedy='Install it: pip install "napari-hogseg[fisher]".',
            ) from error
        except ValueError as error:
            raise InputError(
                f"No mixture could be fitted: {error}",
                where=f"{len(blocks)} blocks, target.modes = {self.num_modes}",
                remedy="Lower target.modes or raise target.fit_frames.",
            ) from error
        found = {WEIGHTS: mixture.weights_, MEANS: mixture.means_, VARIANCES: mixture.covariances_}
        return {name: np.asarray(values, np.float32) for name, values in found.items()}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> FisherLabel:
        """Give the label with its mixture; InputError where an array is missing or misshapen."""
        for name, shape in self.array_shapes.items():
            if name not in arrays or arrays[name].shape != shape:
                raise InputError(
                    "The model's fitted pseudo-label is not of its configuration",
                    where=name,
                    remedy="model.toml and target.safetensors must come from one run.",
                )
        return replace(self, arrays={name: arrays[name] for name in self.array_shapes})

    def _blocks(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Blocks (N, num_blocks, M) of frames."""
        features = hog_features(frames, self.hog).numpy()
        return np.asarray(features.reshape(len(frames), -1, HogGrid.of(self.hog).block_values))
