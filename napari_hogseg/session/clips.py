"""A clip to review: its frames, its classes and where its ground truth lies. Opens, never writes.

Which mask belongs to which frame is decided here: by name, else by order where the numbers match. What raw
mask values mean is the data-set layout's part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_hogseg.data.layouts import PLAIN, DataSet, Layout, open_dataset
from napari_hogseg.data.recognition import recognise
from napari_hogseg.data.scheme import OKABE_ITO, SCHEME_FILE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import Pictures, open_frames
from napari_hogseg.session.annotations import SessionIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.data.layouts import Sample
    from napari_hogseg.io.video import FrameSource

#: Stand-in where neither data set nor model names the classes; Okabe and Ito's colours.
UNNAMED = LabelScheme(
    name="unnamed classes",
    classes=tuple(f"class {class_id}" for class_id in range(8)),
    colors=(*OKABE_ITO, (153, 153, 153)),
)


@dataclass(frozen=True, eq=False)
class Clip:
    """What a review session shows.

    Attributes
    ----------
    source : FrameSource
    scheme : LabelScheme
    named : bool
        Whether the classes come from the data set; if not, a loaded model's classes replace them.
    truth : callable or None
        `truth(frame_index) -> (H, W) uint8` class ids or None; raises InputError naming the mask file.
    num_masks : int
        Frames that have a mask file.
    about_masks : str
        Where they were found, for the dock.
    dataset : DataSet, optional
        The data set it is part of.
    part : DataSetClip, optional
        Which part.
    """

    source: FrameSource
    scheme: LabelScheme
    named: bool
    truth: Callable[[int], npt.NDArray[np.uint8] | None] | None
    num_masks: int
    about_masks: str
    dataset: DataSet | None = None
    part: DataSetClip | None = None

    @property
    def identity(self) -> SessionIdentity:
        """What the session folder must agree with."""
        source = self.source
        return SessionIdentity(
            str(source.path), tuple(source.frame_names), source.height, source.width, self.scheme
        )


@dataclass(frozen=True)
class MaskFiles:
    """Mask files by frame index, and how their raw values become class ids."""

    paths: Mapping[int, Path]
    to_class_ids: Callable[[npt.NDArray[np.integer], object], npt.NDArray[np.uint8]]

    def __call__(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        """Read one mask; None where there is none."""
        path = self.paths.get(frame_index)
        return None if path is None else self.to_class_ids(images.read_mask(path), path)


@dataclass(frozen=True)
class DataSetClip:
    """Frames of a data set that are reviewed together: one folder of pictures, or one video file.

    Attributes
    ----------
    path : Path
        The folder or the file.
    name : str
        For people: the group, and the path where a group has several.
    group : str
        Patient, sequence or video it belongs to.
    samples : tuple of Sample
        In frame order.
    """

    path: Path
    name: str
    group: str
    samples: tuple[Sample, ...] = field(repr=False)

    @property
    def num_masks(self) -> int:
        """Frames that have a mask file."""
        return sum(sample.mask_path is not None for sample in self.samples)


@dataclass(frozen=True)
class SampleMasks:
    """Ground truth of a data set's frames by frame index."""

    dataset: DataSet
    samples: Mapping[int, Sample]

    def __call__(self, frame_index: int) -> npt.NDArray[np.uint8] | None:
        """Read one mask; None where there is none."""
        sample = self.samples.get(frame_index)
        return None if sample is None else self.dataset.read_mask(sample)


def dataset_clips(dataset: DataSet) -> tuple[DataSetClip, ...]:
    """List what a data set holds to review, in the order of its samples."""
    members: defaultdict[tuple[str, Path], list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        from_video = sample.frame_index is not None
        place = sample.image_path if from_video else sample.image_path.parent
        members[sample.group, place].append(sample)
    of_group = Counter(group for group, _ in members)

    def name(group: str, place: Path) -> str:
        return group if of_group[group] == 1 else f"{group}: {_below(dataset.root, place)}"

    return tuple(
        DataSetClip(place, name(group, place), group, tuple(samples))
        for (group, place), samples in members.items()
    )


def _below(root: Path, place: Path) -> str:
    try:
        return place.relative_to(root).as_posix()
    except ValueError:  # reached through a link
        return place.name


def describe_dataset(dataset: DataSet) -> str:
    """Say in two sentences what was recognised: layout, classes, frames, protocol."""
    layout = dataset.layout
    plain = f"Folders with {SCHEME_FILE}, '{layout.scheme.name}' ({layout.scheme.num_classes} classes)"
    title = plain if layout.table is None else layout.table.title
    num_masks = sum(sample.mask_path is not None for sample in dataset.samples)
    groups = "1 video" if len(dataset.groups) == 1 else f"{len(dataset.groups)} videos"
    return (
        f"{title}: {len(dataset.samples)} frames in {groups}, {num_masks} masks. Scored by {layout.protocol}."
    )


def part_of_group(dataset: DataSet, group: str) -> str:
    """Name the part of the official split a group belongs to; empty where none is published by groups."""
    official = dataset.layout.splits.get("official")
    if official is None or official.lists:
        return ""
    for part in ("val", "test"):
        if group in getattr(official, part):
            return part
    return "train" if not official.train or group in official.train else ""


def open_clip(
    path: Path,
    masks: Path | None = None,
    scheme: LabelScheme | None = None,
    *,
    layout: str = "auto",
    dataset: DataSet | None = None,
) -> Clip:
    """Open a video, an image folder or one clip of a data set.

    Parameters
    ----------
    path : Path
        A video file, a folder of images, one of the data set's clips, or a data set's root (then its first
        clip is taken). Frames that lie in a data set's `images/` bring their masks along.
    masks : Path, optional
        Folder of masks; found by itself inside a data set.
    scheme : LabelScheme, optional
        Classes to use where no data set names them, such as a model's.
    layout : str
        Layout of a data set: a name, a table's path, or 'auto', which takes the likeliest of several.
    dataset : DataSet, optional
        The data set `path` belongs to, where it is open already.

    Raises
    ------
    InputError
        If path or masks cannot be opened, or masks and frames do not pair.
    """
    path = path.expanduser().resolve()
    if masks is not None:
        return _with_mask_folder(open_frames(path), masks.expanduser().resolve(), scheme)
    dataset = dataset or find_dataset(path, "images", layout)
    if dataset is not None:
        clips = dataset_clips(dataset)
        chosen = next((clip for clip in clips if clip.path == path), clips[0])
        return open_dataset_clip(dataset, chosen)
    return Clip(
        open_frames(path), scheme or UNNAMED, named=False, truth=None, num_masks=0, about_masks="none"
    )


def open_dataset_clip(dataset: DataSet, part: DataSetClip) -> Clip:
    """Open one clip of a data set with its truth, its classes and its protocol.

    Raises
    ------
    InputError
        If a frame cannot be read.
    """
    samples = part.samples
    if samples[0].frame_index is None:
        source: FrameSource = _pictures(dataset, part)
        indexed = dict(enumerate(samples))
    else:
        source = open_frames(part.path)  # all frames of the video, though few of them have a mask
        indexed = {sample.frame_index: sample for sample in samples if sample.frame_index is not None}
    truth = SampleMasks(dataset, {i: sample for i, sample in indexed.items() if sample.mask_path is not None})
    return Clip(
        source,
        dataset.scheme,
        named=True,
        truth=truth,
        num_masks=len(truth.samples),
        about_masks=f"{len(truth.samples)} masks of data set '{dataset.layout.name}'",
        dataset=dataset,
        part=part,
    )


def _pictures(dataset: DataSet, part: DataSetClip) -> Pictures:
    """Frames as the layout reads them; the first one's size is expected of all."""
    samples = part.samples
    names = [sample.image_path.stem for sample in samples]
    if len(set(names)) < len(names):
        names = [sample.sample_id.replace("/", "_") for sample in samples]
    height, width = dataset.read_frame(samples[0]).shape[:2]
    return Pictures(
        part.path,
        names,
        (height, width),
        read=lambda number: dataset.read_frame(samples[number]),
        where=lambda number: samples[number].image_path,
    )


def find_dataset(path: Path, part: str, layout: str = "auto") -> DataSet | None:
    """Find the data set that `path` is the root of or lies in, below its `part`: `images` or `masks`."""
    if path.is_dir():
        candidates = recognise(path) if layout == "auto" else ()
        if candidates:
            return open_dataset(path, candidates[0].name)
        if layout != "auto" or (path / "images").is_dir():
            return open_dataset(path, layout)
    for parent in (path, *path.parents):
        if parent.name == part:
            try:
                return open_dataset(parent.parent, layout)
            except InputError:
                continue
    return None


def _with_mask_folder(source: FrameSource, folder: Path, scheme: LabelScheme | None) -> Clip:
    if not folder.is_dir():
        raise InputError("No such folder of masks", where=folder, remedy="Check the path.")
    try:
        masks = [path for path in images.list_images(folder) if path.suffix.lower() == ".png"]
        paths = pair_masks(source.frame_names, masks, folder)
        layout = _mask_layout(folder)
    except InputError:
        source.close()
        raise
    chosen = layout or Layout(name="plain masks", scheme=scheme or UNNAMED)
    return Clip(
        source,
        chosen.scheme,
        named=layout is not None,
        truth=MaskFiles(paths, chosen.to_class_ids),
        num_masks=len(paths),
        about_masks=f"{len(paths)} masks in {folder.name}",
    )


def _mask_layout(folder: Path) -> Layout | None:
    """Find what the values of a mask folder mean; None where nothing beside it says so."""
    dataset = find_dataset(folder, "masks")
    if dataset is not None:
        return dataset.layout
    for place in (folder, folder.parent):
        if (place / SCHEME_FILE).is_file():
            return Layout(name=PLAIN, scheme=LabelScheme.read(place / SCHEME_FILE))
    return None


def pair_masks(frame_names: list[str], masks: list[Path], folder: Path) -> dict[int, Path]:
    """Pair mask files with frames: by stem, else in order where there are as many masks as frames.

    Raises
    ------
    InputError
        If neither pairs them.
    """
    by_stem = {path.stem: path for path in masks}
    named = {index: by_stem[name] for index, name in enumerate(frame_names) if name in by_stem}
    if named:
        return named
    if masks and len(masks) == len(frame_names):
        return dict(enumerate(masks))
    raise InputError(
        f"The {len(masks)} PNG masks here fit the {len(frame_names)} frames neither by name nor by number",
        where=folder,
        remedy=f"Name each mask after its frame, such as {frame_names[0]}.png.",
    )
