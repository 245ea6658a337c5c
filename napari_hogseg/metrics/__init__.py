"""Confusion and boundary metrics, each with its definition in its name."""

from napari_hogseg.metrics.boundary import boundary_iou, surface_dice, thin_structure_limit_px
from napari_hogseg.metrics.confusion import (
    ClassScores,
    DiceScores,
    IouScores,
    confusion_matrix,
    dice_scores,
    iou_scores,
)
from napari_hogseg.metrics.error_map import CORRECT, MISSED, SPURIOUS, boundary_errors
from napari_hogseg.metrics.per_image import paper_per_image_miou
from napari_hogseg.metrics.surfaces import BoundaryScores, boundary_scores

__all__ = [
    "CORRECT",
    "MISSED",
    "SPURIOUS",
    "BoundaryScores",
    "ClassScores",
    "DiceScores",
    "IouScores",
    "boundary_errors",
    "boundary_iou",
    "boundary_scores",
    "confusion_matrix",
    "dice_scores",
    "iou_scores",
    "paper_per_image_miou",
    "surface_dice",
    "thin_structure_limit_px",
]
