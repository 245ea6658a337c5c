"""Error blobs as the survey finds, keeps and reads them back.

Owns which blobs are worth keeping and their plain form. What a blob is, is `metrics.error_blobs`' part.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from napari_hogseg.metrics.error_blobs import ErrorBlob, find_error_blobs
from napari_hogseg.metrics.scoring_options import ScoringOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.data.scheme import LabelScheme

#: Smallest blob kept, as a share of the frame: 26 pixels of 512 x 512, 207 of 1080p. Specks are not worth
#: going to, and a bad frame has thousands.
MIN_AREA_SHARE = 1e-4
#: Largest blobs kept of a frame: an hour of video stays below a hundred megabytes.
MAX_BLOBS = 50
BACKGROUND_NAMES = ("background", "void", "none")


@dataclass(frozen=True)
class ErrorBlobs:
    """A `BlobCodec` of error blobs.

    Attributes
    ----------
    num_classes : int
    background : int or None
        The class that is no object; None where there is no such class.
    ignore : int
        Void value of the masks.
    boundary_px : float
        As in `find_error_blobs`; the width that scores are made with.
    """

    num_classes: int
    background: int | None = None
    ignore: int = 255
    boundary_px: float = ScoringOptions().boundary_px

    @classmethod
    def of(cls, scheme: LabelScheme) -> ErrorBlobs:
        """For masks of these classes; a first class by a background's name is the background."""
        is_background = scheme.classes[0].strip().lower() in BACKGROUND_NAMES
        return cls(scheme.num_classes, 0 if is_background else None, scheme.ignore)

    def find(
        self,
        frame_HWC: npt.NDArray[np.uint8],
        prediction: npt.NDArray[np.uint8],
        truth: npt.NDArray[np.uint8],
    ) -> tuple[ErrorBlob, ...]:
        """Find the blobs of one frame, the largest first; masks are (H, W) class ids."""
        blobs = find_error_blobs(
            prediction,
            truth,
            frame_HWC,
            num_classes=self.num_classes,
            ignore=self.ignore,
            boundary_px=self.boundary_px,
            min_area_px=max(round(MIN_AREA_SHARE * truth.size), 1),
            background=self.background,
        )
        return blobs[:MAX_BLOBS]

    def to_table(self, blob: ErrorBlob) -> dict[str, Any]:
        """Write a blob as plain values; a number that does not exist as None."""
        table = asdict(blob)
        for name, value in table.items():
            if isinstance(value, float):
                table[name] = None if math.isnan(value) else round(value, 3)
        table["centroid"] = [round(place, 2) for place in blob.centroid]
        return table

    def from_table(self, table: dict[str, Any]) -> ErrorBlob:
        """Read a blob back."""
        values = {name: math.nan if value is None else value for name, value in table.items()}
        return ErrorBlob(**values | {name: tuple(table[name]) for name in ("bbox", "centroid")})
