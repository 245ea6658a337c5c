"""Confusion and boundary metrics, each with its definition in its name."""

from napari_hogseg.metrics.boundary import boundary_iou, surface_dice, thin_structure_limit_px
from napari_hogseg.metrics.centerline import cl_dice
from napari_hogseg.metrics.confusion import (
    ClassScores,
    DiceScores,
    IouScores,
    confusion_matrix,
    dice_scores,
    iou_scores,
)
from napari_hogseg.metrics.decomposition import (
    ErrorDecomposition,
    ErrorType,
    decompose_errors,
    error_type_map,
)
from napari_hogseg.metrics.error_map import CORRECT, MISSED, SPURIOUS, boundary_errors
from napari_hogseg.metrics.per_image import paper_per_image_miou
from napari_hogseg.metrics.protocols import PROTOCOLS, Protocol
from napari_hogseg.metrics.reports import Comparison, Difference, ScoreReport
from napari_hogseg.metrics.scoring import Scorer, compare, score_frame
from napari_hogseg.metrics.scoring_options import ScoringOptions
from napari_hogseg.metrics.surfaces import BoundaryScores, boundary_scores

__all__ = [
    "CORRECT",
    "MISSED",
    "PROTOCOLS",
    "SPURIOUS",
    "BoundaryScores",
    "ClassScores",
    "Comparison",
    "DiceScores",
    "Difference",
    "ErrorDecomposition",
    "ErrorType",
    "IouScores",
    "Protocol",
    "ScoreReport",
    "Scorer",
    "ScoringOptions",
    "boundary_errors",
    "boundary_iou",
    "boundary_scores",
    "cl_dice",
    "compare",
    "confusion_matrix",
    "decompose_errors",
    "dice_scores",
    "error_type_map",
    "iou_scores",
    "paper_per_image_miou",
    "score_frame",
    "surface_dice",
    "thin_structure_limit_px",
]
