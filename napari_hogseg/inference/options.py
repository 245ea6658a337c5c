"""How a model looks at a frame: once as it is, in windows, or in several views whose answers are averaged."""

from __future__ import annotations

from itertools import product

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_hogseg.inference.tiling import Blend

LEAST_WINDOW_PX = 32


class InferenceOptions(BaseModel):
    """Windows and views of one prediction; as they stand, the frame is seen whole and once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_px: int = Field(
        default=0, ge=0, description="Side of the windows, pixels of the network's input; 0: the whole frame."
    )
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0, description="Share of a window that the next covers.")
    flip: bool = Field(default=False, description="Average with the prediction of the mirrored frame.")
    scales: tuple[float, ...] = Field(
        default=(1.0,), min_length=1, description="Sizes to predict at and average, of the network's own."
    )

    blend: Blend = Field(default="gaussian", description="Weights of a window's pixels; constant: all alike.")

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0.25 <= scale <= 4.0 for scale in scales):
            raise ValueError("each scale lies between 0.25 and 4")
        return scales

    @field_validator("window_px")
    @classmethod
    def _check_window(cls, window_px: int) -> int:
        if 0 < window_px < LEAST_WINDOW_PX:
            raise ValueError(f"windows have {LEAST_WINDOW_PX} pixels or more")
        return window_px

    @property
    def views(self) -> tuple[tuple[float, bool], ...]:
        """Scale, and whether mirrored, of each view that is averaged."""
        return tuple(product(self.scales, (False, True) if self.flip else (False,)))

    @property
    def is_plain(self) -> bool:
        """Whether the frame is seen whole and once."""
        return not self.window_px and not self.flip and self.scales == (1.0,)

    def __str__(self) -> str:
        windows = "whole"
        if self.window_px:
            blend = "" if self.blend == "gaussian" else f", {self.blend} weights"
            windows = f"windows of {self.window_px} px, overlap {self.overlap:g}{blend}"
        flipped = ", mirrored too" if self.flip else ""
        scaled = "" if self.scales == (1.0,) else f", scales {', '.join(f'{s:g}' for s in self.scales)}"
        return f"{windows}{flipped}{scaled}"
