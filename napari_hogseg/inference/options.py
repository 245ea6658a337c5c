"""How a model looks at a frame: once as it is, in windows, or in several views whose answers are averaged."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(not 0.25 <= scale <= 4.0 for scale in self.scales):
            raise ValueError("each scale lies between 0.25 and 4")
        if 0 < self.window_px < 32:
            raise ValueError("windows have 32 pixels or more")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether the frame is seen whole and once."""
        return not self.window_px and not self.flip and self.scales == (1.0,)

    def __str__(self) -> str:
        windows = f"windows of {self.window_px} px, overlap {self.overlap:g}" if self.window_px else "whole"
        flipped = ", mirrored too" if self.flip else ""
        scaled = "" if self.scales == (1.0,) else f", scales {', '.join(f'{s:g}' for s in self.scales)}"
        return f"{windows}{flipped}{scaled}"
