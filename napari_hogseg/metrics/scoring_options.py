"""What a score report measures beside its protocol's own numbers, and how."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from napari_hogseg.metrics.contours import FrameEdge
from napari_hogseg.metrics.intervals import NUM_RESAMPLES


class ScoringOptions(BaseModel):
    """What to measure beside the protocol's own numbers, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance_px: float | None = Field(
        default=None, ge=0.0, description="Tolerance of the surface Dice; None: the protocol's."
    )
    band_px: int = Field(default=3, ge=1, description="Width of the Boundary IoU band.")
    boundary_px: float = Field(default=3.0, ge=1.0, description="Width of a boundary error.")
    frame_edge: FrameEdge = Field(
        default="counted", description="Whether a mask that the frame cuts off has an edge there."
    )
    centerline: tuple[str, ...] = Field(default=(), description="Classes to measure by clDice.")
    num_resamples: int = Field(default=NUM_RESAMPLES, ge=100, description="Bootstrap resamples.")
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")
