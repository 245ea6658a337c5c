"""The Fisher vector against skimage's, and its mixture against what it must not see or lose."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.feature

from napari_hogseg.features.fisher import FisherLabel, fisher_vector
from napari_hogseg.features.hog import HogParams
from napari_hogseg.io.errors import InputError

PARAMS = HogParams.preset("official-504")


def frames(seed: int, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 40, 30, 3)).astype(np.uint8))


def made_up_mixture(num_modes: int, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    weights = rng.random(num_modes) + 0.1
    return {
        "mixture.weights": weights / weights.sum(),
        "mixture.means": rng.random((num_modes, size)),
        "mixture.variances": rng.random((num_modes, size)) * 0.1 + 0.01,
    }


def test_from_the_definition_by_numerical_differentiation() -> None:
    """By mean and by variance it is the log-likelihood's gradient, scaled; here taken by differences."""
    mixture = made_up_mixture(2, 3)
    x = np.random.default_rng(3).random((5, 3))
    weights, means, variances = mixture.values()

    def log_likelihood(means: np.ndarray, variances: np.ndarray) -> float:
        squares = ((x[:, None] - means) ** 2 / variances).sum(2)
        density = weights * np.exp(-0.5 * squares) / np.sqrt((2 * np.pi * variances).prod(1))
        return float(np.log(density.sum(1)).mean())

    by_mean, by_deviation = np.zeros((2, 3)), np.zeros((2, 3))
    deviations = np.sqrt(variances)
    for place in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[place] = 1e-6
        rise = log_likelihood(means + step, variances) - log_likelihood(means - step, variances)
        by_mean[place] = rise / 2e-6
        rise = log_likelihood(means, (deviations + step) ** 2) - log_likelihood(
            means, (deviations - step) ** 2
        )
        by_deviation[place] = rise / 2e-6
    root = np.sqrt(weights)[:, None]
    raw = np.concatenate(
        [
            (by_mean * deviations / root).ravel(),
            (-by_deviation * deviations / root / np.sqrt(2)).ravel(),  # skimage's sign
        ]
    )
    made = fisher_vector(x, mixture)[2:]
    expected = np.sign(raw) * np.sqrt(np.abs(raw))
    np.testing.assert_allclose(made / np.linalg.norm(made), expected / np.linalg.norm(expected), atol=1e-6)


def test_against_skimage() -> None:
    sklearn_mixture = pytest.importorskip("sklearn.mixture", reason="scikit-learn (extra 'fisher')")
    mixture = made_up_mixture(4, 6)
    gmm = sklearn_mixture.GaussianMixture(4, covariance_type="diag")
    gmm.weights_, gmm.means_, gmm.covariances_ = mixture.values()
    gmm.precisions_cholesky_ = 1 / np.sqrt(gmm.covariances_)
    x = np.random.default_rng(4).random((50, 6))
    expected = skimage.feature.fisher_vector(x, gmm, improved=True)
    np.testing.assert_allclose(fisher_vector(x, mixture), expected, atol=1e-9)


def test_a_fit_is_repeatable_and_its_label_tells_frames_apart() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn (extra 'fisher')")
    label = FisherLabel(PARAMS, 3)
    arrays = label.fit(frames(0, 6), seed=1)
    again = label.fit(frames(0, 6), seed=1)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    assert {name: values.shape for name, values in arrays.items()} == label.array_shapes
    values = label.with_arrays(arrays).compute(np.stack(frames(9, 2)))
    assert values.shape == (2, label.dim) == (2, label.grid.dim) == (2, 3 + 2 * 3 * 24)
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1.0, rtol=1e-5)
    assert np.abs(values[0] - values[1]).max() > 1e-3


def test_too_few_blocks_and_a_missing_fit_are_named() -> None:
    label = FisherLabel(PARAMS, 64)
    with pytest.raises(InputError, match="not fitted"):
        label.compute(np.stack(frames(0, 1)))
    with pytest.raises(InputError, match="not of its configuration"):
        label.with_arrays({"mixture.weights": np.ones(64, np.float32)})
    pytest.importorskip("sklearn", reason="scikit-learn (extra 'fisher')")
    with pytest.raises(InputError, match=r"Lower target\.modes"):
        label.fit(frames(0, 1), seed=0)
