"""Error blobs in a survey's records: found, written as plain values, read back."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_hogseg.data.scheme import IGNORE
from napari_hogseg.metrics.error_blobs import ErrorBlob, find_error_blobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

BOUNDARY_PX = 3.0
#: What is smaller is a pixel's width of doubt: of a noisy model, a survey keeps three times as many errors at
#: 5 as at 20, and twelve times as many at 1. The list has a threshold of its own. Files of earlier versions
#: hold none below 20.
MIN_AREA_PX = 5


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


class ErrorBlobCodec:
    """The `BlobCodec` of `metrics.error_blobs`."""

    def find(
        self,
        frame_HWC: npt.NDArray[np.uint8],
        prediction: npt.NDArray[np.uint8],
        truth: npt.NDArray[np.uint8],
    ) -> Sequence[ErrorBlob]:
        """Find the blobs of one frame: (H, W, 3) uint8 and two (H, W) uint8 of class ids."""
        highest = max(int(mask.max(initial=0, where=mask != IGNORE)) for mask in (prediction, truth))
        return find_error_blobs(
            prediction,
            truth,
            frame_HWC,
            num_classes=highest + 1,
            boundary_px=BOUNDARY_PX,
            min_area_px=MIN_AREA_PX,
        )

    def to_table(self, blob: ErrorBlob) -> dict[str, Any]:
        """Write one as plain values; a number that is none becomes null."""
        table = asdict(blob)
        return {name: None if _is_nan(value) else value for name, value in table.items()}

    def from_table(self, table: dict[str, Any]) -> ErrorBlob:
        """Read one back."""
        values: dict[str, Any] = {
            name: float("nan") if value is None else value for name, value in table.items()
        }
        return ErrorBlob(**values | {name: tuple(values[name]) for name in ("bbox", "centroid")})
