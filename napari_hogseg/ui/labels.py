"""Display labels: what a napari Labels layer holds for a mask of class ids, and the colours of both.

Display label = class id + 1, and 0 for ignore: the eraser thus means "unlabelled". uint8 wraps around, so
adding and subtracting one does it, 255 included. This is the only place that converts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap

from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.error_map import CORRECT, MISSED, SPURIOUS
from napari_hogseg.ui.looks import MaskLook, palette
from napari_hogseg.ui.products import BREAKS, DIFFER, MENDS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_hogseg.data.scheme import Color, LabelScheme
    from napari_hogseg.session.annotations import AnnotationStore

#: Okabe and Ito's palette: told apart with every common colour vision, on bright and dark tissue.
ERROR_COLORS: dict[int, tuple[str, Color]] = {
    MISSED: ("missed", (213, 94, 0)),
    SPURIOUS: ("spurious", (86, 180, 233)),
    CORRECT: ("correct", (0, 158, 115)),
}
DIFFERENCE_COLORS: dict[int, tuple[str, Color]] = {
    MENDS: ("mended", (0, 158, 115)),
    BREAKS: ("broken", (213, 94, 0)),
    DIFFER: ("other", (240, 228, 66)),
}


def to_display(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn class ids into display labels; a new array."""
    return mask + np.uint8(1)


def to_class_ids(labels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Turn display labels into class ids; a new array."""
    return np.asarray(labels).astype(np.uint8) - np.uint8(1)


def class_colors(scheme: LabelScheme, look: MaskLook) -> npt.NDArray[np.float32]:
    """Give RGBA, 0 to 1, by class id, (256, 4); classes that are hidden have no opacity."""
    table = np.zeros((256, 4), np.float32)
    for class_id, color in enumerate(palette(scheme, look.palette)):
        table[class_id] = (*(channel / 255 for channel in color), float(class_id not in look.hidden))
    return table


def display_colormap(scheme: LabelScheme, look: MaskLook | None = None) -> CyclicLabelColormap:
    """Make the colormap of display labels; share it between layers."""
    return CyclicLabelColormap(colors=np.roll(class_colors(scheme, look or MaskLook()), 1, axis=0))


def error_colormap() -> CyclicLabelColormap:
    """Make the colormap of a boundary error map."""
    return _colormap({kind: color for kind, (_, color) in ERROR_COLORS.items()})


def difference_colormap() -> CyclicLabelColormap:
    """Make the colormap of a difference of two models."""
    return _colormap({kind: color for kind, (_, color) in DIFFERENCE_COLORS.items()})


def _colormap(colors: dict[int, Color]) -> CyclicLabelColormap:
    # One colour for every uint8 value, so nothing cycles. napari's direct colormap would show the same, but
    # compiles numba code on its first use: two seconds on the GUI thread.
    table = np.zeros((256, 4), np.float32)
    for value, color in colors.items():
        table[value] = (*(channel / 255 for channel in color), 1.0)
    return CyclicLabelColormap(colors=table)


class EditableMasks:
    """An `AnnotationStore` as the `(T, H, W) uint8` display labels of a napari Labels layer.

    Painting, filling, undo and redo all write through `__setitem__`, whichever frame they touch, so no event
    has to be watched to keep the store right.

    Parameters
    ----------
    store : AnnotationStore
    on_painted : callable
        `on_painted(frame_index)` after every write.
    on_refused : callable
        `on_refused(error)` when a frame is locked; nothing was written then.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        store: AnnotationStore,
        on_painted: Callable[[int], None],
        on_refused: Callable[[InputError], None],
    ) -> None:
        self.store = store
        self._on_painted, self._on_refused = on_painted, on_refused

    @property
    def shape(self) -> tuple[int, int, int]:
        """T, H, W."""
        return self.store.shape

    @property
    def size(self) -> int:
        """Number of labels in all frames."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - numpy's own index type
        frames, inner = _split_key(key)
        if isinstance(frames, (int, np.integer)):
            return to_display(self.store.mask(self._wrap(frames)))[inner]
        if isinstance(frames, slice):
            indices = range(*frames.indices(self.shape[0]))
            if not indices:
                return np.zeros((0, *self.shape[1:]), np.uint8)
            return np.stack([to_display(self.store.mask(index))[inner] for index in indices])
        frames, *pixels = np.broadcast_arrays(np.asarray(frames), *(np.asarray(part) for part in inner))
        labels = np.zeros(frames.shape, np.uint8)
        for index in np.unique(frames):
            here = frames == index
            labels[here] = to_display(self.store.mask(self._wrap(index)))[
                tuple(part[here] for part in pixels)
            ]
        return labels

    def __setitem__(self, key: Any, value: Any) -> None:  # noqa: ANN401 - numpy's own index type
        frames, inner = _split_key(key)
        if isinstance(frames, (int, np.integer)):
            self._paint(self._wrap(frames), inner, to_class_ids(value))
        elif isinstance(frames, slice):
            self._set_slices(range(*frames.indices(self.shape[0])), inner, np.asarray(value))
        else:
            frames, *pixels = np.broadcast_arrays(np.asarray(frames), *(np.asarray(part) for part in inner))
            values = np.broadcast_to(to_class_ids(value), frames.shape)
            for index in np.unique(frames):
                here = frames == index
                self._paint(self._wrap(index), tuple(part[here] for part in pixels), values[here])

    def _set_slices(self, indices: range, inner: tuple[Any, ...], value: npt.NDArray[Any]) -> None:
        for position, index in enumerate(indices):
            whole_stack = value.ndim == self.ndim
            part = value[position if value.shape[0] > 1 else 0] if whole_stack else value
            self._paint(index, inner, to_class_ids(part))

    def _paint(self, frame_index: int, inner: tuple[Any, ...], class_ids: npt.NDArray[np.uint8]) -> None:
        try:
            self.store.paint(frame_index, inner, class_ids)
        except InputError as error:
            self._on_refused(error)
            return
        self._on_painted(frame_index)

    def _wrap(self, frame_index: int | np.integer[Any]) -> int:
        index = int(frame_index)
        return index + self.shape[0] if index < 0 else index


def _split_key(key: Any) -> tuple[Any, tuple[Any, ...]]:  # noqa: ANN401 - numpy's own index type
    """First axis, and what is left for the (H, W) mask."""
    if not isinstance(key, tuple):
        key = (key,)
    return (slice(None), ()) if not key or key[0] is Ellipsis else (key[0], key[1:])
