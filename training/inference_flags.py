"""The flags on windows and views that `evaluate` and `predict` share."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from napari_hogseg.inference.options import InferenceOptions
from napari_hogseg.io.errors import InputError

WindowOption = Annotated[
    int,
    typer.Option(
        "--window-px", min=0, help="Predict in windows of this side, of the network's input; 0: whole frames."
    ),
]
OverlapOption = Annotated[
    float, typer.Option("--overlap", help="Share of a window that the next one covers, 0 to below 1.")
]
MirrorOption = Annotated[bool, typer.Option("--tta", help="Average with the mirrored frame's prediction.")]
ScalesOption = Annotated[
    str, typer.Option("--scales", help="Average over sizes, such as 0.75,1,1.25 of the network's own.")
]


def inference_options(window_px: int, overlap: float, scales: str, *, flip: bool) -> InferenceOptions:
    """Read the flags.

    Raises
    ------
    InputError
        If a number is none or out of range.
    """
    try:
        return InferenceOptions(
            window_px=window_px,
            overlap=overlap,
            flip=flip,
            scales=tuple(float(scale) for scale in scales.split(",")),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = "--" + "-".join(str(part) for part in first["loc"][:1] or ("scales",)).replace("_", "-")
        raise InputError(first["msg"].removeprefix("Value error, "), where=where) from error
    except ValueError as error:
        raise InputError(
            f"'{scales}' is no list of numbers", where="--scales", remedy="Write 0.75,1,1.25."
        ) from error
