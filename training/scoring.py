"""`hogseg score`: a folder of predicted masks against a folder of true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hogseg.data.scheme import SCHEME_FILE, LabelScheme
from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError
from training.evaluation import Scores, score_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.evaluation import Pair

MAX_NAMED = 8


def score_folders(prediction: Path, truth: Path, num_classes: int) -> Scores:
    """Score index PNGs of the same names, found at any depth.

    Parameters
    ----------
    prediction, truth : Path
        Folders of masks whose values are class ids 0 .. num_classes - 1, or 255 for ignore.
    num_classes : int

    Returns
    -------
    Scores

    Raises
    ------
    InputError
        If files are missing, extra, of different sizes or hold other values: all are named, none is skipped.
    """
    pairs = _match(prediction, truth)
    scheme = _scheme(prediction, truth, num_classes)
    problems: list[str] = []
    scores = score_pairs(_read(pairs, scheme, problems), scheme, boundaries=True)
    if problems:
        raise InputError(_first(problems), where=prediction, remedy="Mend these files; nothing was scored.")
    return scores


def _match(prediction: Path, truth: Path) -> list[tuple[Path, Path]]:
    found = {name: _masks(folder) for name, folder in (("prediction", prediction), ("truth", truth))}
    missing = sorted(found["truth"].keys() - found["prediction"].keys())
    extra = sorted(found["prediction"].keys() - found["truth"].keys())
    problems = [f"no prediction for {name}" for name in missing] + [f"no truth for {name}" for name in extra]
    if problems:
        raise InputError(_first(problems), where=prediction, remedy="Both folders must hold the same names.")
    if not found["truth"]:
        raise InputError("No .png lies in the folder", where=truth, remedy="Give a folder of index PNGs.")
    return [(found["prediction"][name], found["truth"][name]) for name in sorted(found["truth"])]


def _masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError("No such folder", where=folder, remedy="Check the path.")
    paths = (path for path in folder.rglob("*.png") if not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _scheme(prediction: Path, truth: Path, num_classes: int) -> LabelScheme:
    """Class names where a dataset.toml lies in or beside either folder, else numbers."""
    for folder in (truth, truth.parent, prediction, prediction.parent):
        path = folder / SCHEME_FILE
        if path.is_file():
            scheme = LabelScheme.read(path)
            if scheme.num_classes == num_classes:
                return scheme
    names = tuple(f"class {class_id}" for class_id in range(num_classes))
    return LabelScheme(name="classes", classes=names, colors=((0, 0, 0),) * num_classes)


def _read(pairs: list[tuple[Path, Path]], scheme: LabelScheme, problems: list[str]) -> Iterator[Pair]:
    for prediction_path, truth_path in pairs:
        try:
            prediction = scheme.check_mask(images.read_mask(prediction_path), prediction_path)
            truth = scheme.check_mask(images.read_mask(truth_path), truth_path)
        except InputError as error:
            problems.append(str(error))
            continue
        if prediction.shape != truth.shape:
            problems.append(f"{prediction_path.name} is {prediction.shape}, its truth {truth.shape}")
            continue
        yield prediction, truth


def _first(problems: list[str]) -> str:
    more = f" and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
    return "; ".join(problems[:MAX_NAMED]) + more
