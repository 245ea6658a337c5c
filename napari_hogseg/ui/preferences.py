"""What a person chose for all clips: keys, the look of masks, HOG settings, whether the hint was read.

Owns the file and its fields. Where a review was left is its session's (`session.state`).
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_hogseg.io import atomic
from napari_hogseg.ui.looks import MaskLook, PaletteName
from napari_hogseg.ui.products import HogSettings, HogView
from napari_hogseg.ui.triage_queue import ErrorLimits

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
FILE_NAME = "preferences.json"


class Preferences(BaseModel):
    """One person's choices; what an older or newer version wrote besides is passed over.

    Attributes
    ----------
    keys : dict of str to str
        Keys by the name of what they do, where they are not the usual ones; empty for none.
    palette, contours, opacity
        Of masks, as in `looks.MaskLook`.
    hog_orientations, hog_cell_px, hog_view
        As in `products.HogSettings`.
    min_error_area_px, min_error_depth_px
        Of errors that are listed, as in `triage_queue.ErrorLimits`.
    hint_read : bool
        Whether the first steps were read and put away.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    keys: dict[str, str] = {}
    palette: PaletteName = "data set"
    contours: bool = False
    opacity: float = Field(default=0.5, ge=0.0, le=1.0)
    hog_orientations: int = Field(default=6, ge=2, le=36)
    hog_cell_px: int = Field(default=16, ge=4, le=64)
    hog_view: HogView = "glyphs"
    min_error_area_px: int = Field(default=ErrorLimits.min_area_px, ge=1)
    min_error_depth_px: float = Field(default=ErrorLimits.min_depth_px, ge=0.0, allow_inf_nan=False)
    hint_read: bool = False

    @property
    def look(self) -> MaskLook:
        """How masks are drawn."""
        return MaskLook(palette=self.palette, contours=self.contours, opacity=self.opacity)

    @property
    def hog(self) -> HogSettings:
        """How HOG maps are drawn."""
        return HogSettings(self.hog_orientations, self.hog_cell_px, self.hog_view)

    @property
    def limits(self) -> ErrorLimits:
        """Which errors are listed."""
        return ErrorLimits(self.min_error_area_px, self.min_error_depth_px)

    @classmethod
    def of(
        cls,
        look: MaskLook,
        hog: HogSettings,
        keys: dict[str, str],
        limits: ErrorLimits,
        *,
        hint_read: bool,
    ) -> Preferences:
        """Gather what is chosen now."""
        return cls(
            keys=keys,
            palette=look.palette,
            contours=look.contours,
            opacity=look.opacity,
            hog_orientations=hog.orientations,
            hog_cell_px=hog.cell_px,
            hog_view=hog.view,
            min_error_area_px=limits.min_area_px,
            min_error_depth_px=limits.min_depth_px,
            hint_read=hint_read,
        )


def read_preferences(root: Path) -> Preferences:
    """Read what was chosen; the usual where nothing was or the file makes no sense.

    Parameters
    ----------
    root : Path
        Folder of the sessions.
    """
    try:
        return Preferences.model_validate_json((root / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return Preferences()
    except (OSError, ValidationError) as error:
        _LOG.warning("%s is passed over: %s", root / FILE_NAME, error)
        return Preferences()


def write_preferences(root: Path, preferences: Preferences) -> None:
    """Keep what was chosen; OSError if the disk refuses."""
    root.mkdir(parents=True, exist_ok=True)
    atomic.write_text(root / FILE_NAME, json.dumps(preferences.model_dump(), indent=2) + "\n")
