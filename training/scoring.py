"""`hogseg score`: a folder of predicted masks against true ones, in a folder or in a data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import SCHEME_FILE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from napari_hogseg.metrics.protocols import DEFAULT, find_protocol
from napari_hogseg.metrics.scoring import Scorer
from training.selection import select_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_hogseg.metrics.reports import ScoreReport
    from napari_hogseg.metrics.scoring_options import ScoringOptions

MAX_NAMED = 8


@dataclass(frozen=True)
class TruthMask:
    """One true mask: which video it belongs to, which prediction file answers it, how it is read."""

    video: str
    name: str
    read: Callable[[], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Truth:
    """All true masks, their classes and how their set is scored."""

    where: Path
    scheme: LabelScheme
    masks: tuple[TruthMask, ...]
    protocol: str = DEFAULT
    layout: str = ""
    same_recording: tuple[frozenset[str], ...] = ()


def truth_folder(folder: Path, prediction: Path, num_classes: int) -> Truth:
    """Take index PNGs at any depth as the truth; a video is a folder of them.

    Parameters
    ----------
    folder, prediction : Path
        Class names are those of a dataset.toml in or beside either.
    num_classes : int
        Values are class ids 0 .. num_classes - 1, or 255 for ignore.

    Raises
    ------
    InputError
        If the folder holds none.
    """
    paths = _masks(folder)
    if not paths:
        raise InputError("No .png lies in the folder", where=folder, remedy="Give a folder of index PNGs.")
    scheme = _scheme(folder, prediction, num_classes)
    masks = (
        TruthMask(name.rpartition("/")[0] or folder.name, name, _reader(path, scheme))
        for name, path in sorted(paths.items())
    )
    return Truth(folder, scheme, tuple(masks))


def truth_dataset(root: Path, layout: str, frames: str = "all") -> Truth:
    """Take a data set's masks as the truth; the prediction of a frame is `<sample id>.png`."""
    dataset = open_dataset(root, layout)
    samples = (sample for sample in select_frames(dataset, frames) if sample.mask_path is not None)
    masks = tuple(
        TruthMask(sample.group, f"{sample.sample_id}.png", partial(dataset.read_mask, sample))
        for sample in samples
    )
    if not masks:
        raise InputError(f"'{frames}' holds no frame with a mask", where=root, remedy="Name others.")
    layout_found = dataset.layout
    return Truth(
        root, dataset.scheme, masks, layout_found.protocol, layout_found.name, layout_found.same_recording
    )


def score_folder(
    prediction: Path,
    truth: Truth,
    protocol: str = "",
    options: ScoringOptions | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> ScoreReport:
    """Score a folder of predicted index PNGs.

    Parameters
    ----------
    prediction : Path
    truth : Truth
    protocol : str
        Empty: the truth's own.
    options : ScoringOptions, optional
    on_frame : callable
        Called after each frame, for progress.

    Raises
    ------
    InputError
        If files are missing (where the protocol does not score them 0), extra, of different sizes or hold
        other values: all are named, none is skipped.
    """
    chosen = find_protocol(protocol or truth.protocol)
    found = _masks(prediction)
    _check_names(prediction, found, truth, missing_allowed=chosen.missing_is_zero)
    scorer = Scorer(truth.scheme, chosen.name, options, truth.layout, truth.same_recording)
    problems: list[str] = []
    for mask in truth.masks:
        try:
            true = mask.read()
            path = found.get(mask.name)
            answer = None if path is None else truth.scheme.check_mask(images.read_mask(path), path)
        except InputError as error:
            problems.append(str(error))
            continue
        if answer is not None and answer.shape != true.shape:
            problems.append(f"{mask.name} is {answer.shape}, its truth {true.shape}")
        elif not problems:  # after the first one only more of them are looked for
            scorer.add(mask.video, mask.name, answer, true)
        on_frame()
    if problems:
        raise InputError(_first(problems), where=prediction, remedy="Mend these files; nothing was scored.")
    return scorer.report()


def _check_names(prediction: Path, found: dict[str, Path], truth: Truth, *, missing_allowed: bool) -> None:
    names = {mask.name for mask in truth.masks}
    missing = [] if missing_allowed else sorted(names - found.keys())
    extra = sorted(found.keys() - names)
    problems = [f"no prediction for {name}" for name in missing] + [f"no truth for {name}" for name in extra]
    if problems:
        raise InputError(_first(problems), where=prediction, remedy="Both must hold the same names.")


def _masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError("No such folder", where=folder, remedy="Check the path.")
    paths = (path for path in folder.rglob("*.png") if not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _reader(path: Path, scheme: LabelScheme) -> Callable[[], npt.NDArray[np.uint8]]:
    return lambda: scheme.check_mask(images.read_mask(path), path)


def _scheme(truth: Path, prediction: Path, num_classes: int) -> LabelScheme:
    """Class names where a dataset.toml lies in or beside either folder, else numbers."""
    for folder in (truth, truth.parent, prediction, prediction.parent):
        path = folder / SCHEME_FILE
        if path.is_file():
            scheme = LabelScheme.read(path)
            if scheme.num_classes == num_classes:
                return scheme
    names = tuple(f"class {class_id}" for class_id in range(num_classes))
    return LabelScheme(name="classes", classes=names, colors=((0, 0, 0),) * num_classes)


def _first(problems: list[str]) -> str:
    more = f" and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
    return "; ".join(problems[:MAX_NAMED]) + more
