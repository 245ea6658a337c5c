"""Masks that were proposed for frames and wait for a person's word; nothing of them is in the store.

Owns the proposals of one clip and what accepting one would change. Computing them is `propagation`'s part,
painting is `ui`'s. No Qt, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_hogseg.session.ledger import Proposal
from napari_hogseg.session.mending import accept_everywhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_hogseg.session.annotations import AnnotationStore
    from napari_hogseg.session.mending import Edit
    from napari_hogseg.session.propagation import Carried

    Mask = npt.NDArray[np.uint8]

PROPAGATED, INTERPOLATED = "propagate", "interpolate"
#: Who the ledger says proposed it.
BY_FLOW = Proposal(digest="opencv-dis", name="optical flow")


@dataclass(frozen=True, eq=False)
class ProposedMask:
    """A mask proposed for one frame.

    Attributes
    ----------
    frame_index : int
    mask : (H, W) uint8 ndarray
        Class ids; 255 where nothing is proposed.
    confidence : float
    kind : str
        'propagate' or 'interpolate'.
    was_corrected : bool
        Whether a person had corrected the frame already.
    before : (H, W) uint8 ndarray
        The frame's mask when the proposal was made.
    """

    frame_index: int
    mask: Mask = field(repr=False)
    confidence: float
    kind: str
    was_corrected: bool
    before: Mask = field(repr=False)


class Proposals:
    """The proposals of one clip, one a frame at most; for one thread.

    Parameters
    ----------
    store : AnnotationStore
        Read only: masks are compared with what a proposal was made on.
    """

    def __init__(self, store: AnnotationStore) -> None:
        self._store = store
        self._by_frame: dict[int, ProposedMask] = {}

    def __len__(self) -> int:
        return len(self._by_frame)

    def __iter__(self) -> Iterator[ProposedMask]:
        return iter([self._by_frame[frame_index] for frame_index in sorted(self._by_frame)])

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that have one, in order."""
        return tuple(sorted(self._by_frame))

    def get(self, frame_index: int) -> ProposedMask | None:
        """Give the proposal of a frame; None where there is none."""
        return self._by_frame.get(frame_index)

    def add(self, carried: Carried, kind: str) -> ProposedMask:
        """Take in a carried mask; it takes the place of the frame's last proposal.

        Raises
        ------
        InputError
            If the frame's own mask cannot be read.
        """
        frame_index = carried.frame_index
        proposed = ProposedMask(
            frame_index,
            carried.mask,
            carried.confidence,
            kind,
            was_corrected=frame_index in self._store.edited_frames,
            before=self._store.mask(frame_index).copy(),
        )
        self._by_frame[frame_index] = proposed
        return proposed

    def discard(self, frame_index: int) -> None:
        """Forget the proposal of a frame."""
        self._by_frame.pop(frame_index, None)

    def clear(self) -> None:
        """Forget all."""
        self._by_frame.clear()

    def is_touched(self, frame_index: int) -> bool:
        """Whether accepting would paint over a person's work: corrected before, or painted meanwhile."""
        proposed = self._by_frame[frame_index]
        return proposed.was_corrected or not np.array_equal(proposed.before, self._store.mask(frame_index))

    def at_least(self, confidence: float) -> tuple[int, ...]:
        """Frames whose proposal is at least that sure."""
        return tuple(each.frame_index for each in self if each.confidence >= confidence)

    def edit(self, frame_index: int) -> Edit:
        """Say what accepting changes; nothing is changed where nothing is proposed."""
        return accept_everywhere(self._store.mask(frame_index), self._by_frame[frame_index].mask)
