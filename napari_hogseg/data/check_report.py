"""What a check of a data set found, and its form in JSON. Finding it is the part of `checking`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.data.recognition import Candidate


class Kind(StrEnum):
    """What can be wrong; the value is its heading."""

    NO_DATASET = "not a data set as its layout wants it"
    UNREADABLE_FRAME = "unreadable frame"
    UNREADABLE_MASK = "unreadable mask"
    UNKNOWN_VALUES = "mask without meaning in this layout"
    SIZE_MISMATCH = "mask and frame differ in size"
    MASK_WITHOUT_FRAME = "mask without frame"
    SAME_PICTURE = "same picture in two groups"
    SEVERAL_LAYOUTS = "several layouts fit"
    SPLIT_UNUSABLE = "published split cannot be used"
    FRAME_WITHOUT_MASK = "frame without mask"
    EMPTY_GROUP = "nothing in it"
    ABSENT_CLASS = "class never occurs"
    MAC_FILE = "._ file of macOS, passed over"

    @property
    def is_error(self) -> bool:
        """Whether the data set must be mended; the others are notes."""
        return self in _ERRORS


_ERRORS = frozenset(
    {
        Kind.NO_DATASET,
        Kind.UNREADABLE_FRAME,
        Kind.UNREADABLE_MASK,
        Kind.UNKNOWN_VALUES,
        Kind.SIZE_MISMATCH,
        Kind.MASK_WITHOUT_FRAME,
        Kind.SAME_PICTURE,
    }
)


@dataclass(frozen=True)
class Problem:
    """One thing found: of what kind, what exactly, at which file (below the root), and what to do."""

    kind: Kind
    what: str
    where: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class ClassShare:
    """How much of the masks that were read is one class."""

    name: str
    num_pixels: int
    share: float
    num_frames: int


@dataclass(frozen=True)
class SplitCount:
    """Frames with a mask by part of a published split; `unusable` says why it cannot be used here."""

    name: str
    num_frames: dict[str, int]
    caution: str = ""
    unusable: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class CheckReport:
    """Everything found in one folder.

    Attributes
    ----------
    layout : str
        Layout it was checked as; empty where none fits.
    candidates : tuple of Candidate
        What was recognised, best first, with the evidence.
    num_frames, num_masks, num_groups : int
        As the layout finds them.
    num_frames_read, num_masks_read : int
        Decoded without a problem; fewer than there are if the check was quick or files are damaged.
    sizes : dict of str to int
        Frames by 'WIDTHxHEIGHT', those that were read.
    classes : tuple of ClassShare
        In the order of the class ids, last the ignored pixels; shares are of all pixels of the masks read.
    problems : tuple of Problem
    """

    root: Path
    layout: str = ""
    title: str = ""
    protocol: str = ""
    note: str = ""
    candidates: tuple[Candidate, ...] = ()
    num_frames: int = 0
    num_masks: int = 0
    num_groups: int = 0
    num_frames_read: int = 0
    num_masks_read: int = 0
    is_quick: bool = False
    sizes: dict[str, int] = field(default_factory=dict)
    classes: tuple[ClassShare, ...] = ()
    splits: tuple[SplitCount, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that must be mended."""
        return tuple(problem for problem in self.problems if problem.kind.is_error)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """The problems one should only know of."""
        return tuple(problem for problem in self.problems if not problem.kind.is_error)

    def of_kind(self, kind: Kind) -> tuple[Problem, ...]:
        """Return the problems of one kind."""
        return tuple(problem for problem in self.problems if problem.kind is kind)

    def to_json(self) -> dict[str, Any]:
        """Make a tree of plain values with every problem in it."""
        head = {
            name: getattr(self, name)
            for name in ("layout", "title", "protocol", "note", "num_frames", "num_masks", "num_groups")
        }
        return {
            "root": str(self.root),
            **head,
            "num_frames_read": self.num_frames_read,
            "num_masks_read": self.num_masks_read,
            "is_quick": self.is_quick,
            "num_frames_without_mask": self.num_frames - self.num_masks,
            "num_masks_without_frame": len(self.of_kind(Kind.MASK_WITHOUT_FRAME)),
            "num_errors": len(self.errors),
            "num_notes": len(self.notes),
            "candidates": [{**vars(item), "evidence": list(item.evidence)} for item in self.candidates],
            "sizes": self.sizes,
            "classes": [vars(item) for item in self.classes],
            "splits": [vars(item) for item in self.splits],
            "problems": [{**vars(item), "is_error": item.kind.is_error} for item in self.problems],
        }
