"""What an adaptation moved: residual, weights and classes, before and after, as a table and a file.

No truth is read, so nothing here says whether the segmentation became better.

Legend: C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field
from rich.console import Group
from rich.table import Table

import napari_hogseg
from napari_hogseg.inference.predictor import Predictor
from napari_hogseg.io import atomic
from napari_hogseg.runs.checkpoint import BEST, load_network
from napari_hogseg.runs.config import AdaptConfig, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from rich.console import RenderableType

    from napari_hogseg.runs.events import Finished
    from training.adaptation import Adaptation

REPORT_FILE = "adapted.json"
_PERCENT = 100.0


class ClassShare(Section):
    """Share of the held-out frames' pixels that a class is given."""

    before: float
    after: float


class AdaptReport(Section):
    """What is written to `adapted.json`; all shares and changes are relative, 1 = all."""

    version: str = napari_hogseg.__version__
    base: str = Field(description="Model folder that was adapted; it is only read.")
    base_digest: str = Field(description="SHA-256 of its weights.")
    model: str | None = Field(description="The adapted one, in the run folder; None: nothing was gained.")
    model_digest: str | None
    video: str
    config: AdaptConfig
    learned_frames: tuple[int, ...]
    held_out_frames: tuple[int, ...]
    num_adapted: int = Field(description="Parameters that could move.")
    num_steps: int
    best_step: int = Field(description="Step of the lowest residual, whose model is kept; 0: the base's own.")
    stop_reason: Literal["done", "stopped", "preempted", "time", "no-improvement"]
    elapsed_s: float
    residual_before: float = Field(description="Sum of the heads' MSE on the held-out frames.")
    residual_after: float = Field(description="Of the model that is kept.")
    curve: tuple[tuple[int, float], ...] = Field(description="(step, residual).")
    weight_change: dict[str, float] = Field(
        description="Norm of the change / norm of the weights, by layers."
    )
    changed_pixels: float = Field(description="Share of the held-out frames' pixels with another class.")
    class_share: dict[str, ClassShare]

    @property
    def has_gained(self) -> bool:
        """Whether there is a new model."""
        return self.model is not None


def report_adaptation(task: Adaptation, end: Finished) -> AdaptReport:
    """Compare the model on disk with the one it came from, and write `adapted.json` into the run folder."""
    adapted = task.run if task.best_step else None
    before = Predictor.load(task.base, str(task.device))
    after = before if adapted is None else Predictor.load(adapted, str(task.device))
    changed, shares = _compare_masks(task, before, after)
    residuals = dict(task.curve)
    report = AdaptReport(
        base=str(task.base.resolve()),
        base_digest=before.digest,
        model=None if adapted is None else (adapted / BEST).read_text("utf-8").strip(),
        model_digest=None if adapted is None else after.digest,
        video=str(task.source.path.resolve()),
        config=task.config,
        learned_frames=task.chosen.learned,
        held_out_frames=task.chosen.held_out,
        num_adapted=task.num_adapted,
        num_steps=end.step,
        best_step=task.best_step,
        stop_reason=end.reason,
        elapsed_s=end.elapsed_s,
        residual_before=residuals[0],
        residual_after=residuals[task.best_step],
        # A residual that is no number any more ends the curve: JSON has none.
        curve=tuple(point for point in task.curve if np.isfinite(point[1])),
        weight_change=weight_change(
            load_network(task.base)[1].state_dict(), load_network(adapted or task.base)[1].state_dict()
        ),
        changed_pixels=changed,
        class_share=shares,
    )
    task.run.mkdir(parents=True, exist_ok=True)
    atomic.write_text(task.run / REPORT_FILE, report.model_dump_json(indent=2) + "\n")
    return report


def weight_change(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Relative change of a network by its groups of layers.

    Parameters
    ----------
    before, after : mapping of str to Tensor
        Of the same network: `state_dict`, the stored statistics included.

    Returns
    -------
    dict of str to float
        ||after - before|| / ||before|| over all values of a group; 0 where the group is all zeros and stayed.
    """
    moved: dict[str, float] = {}
    length: dict[str, float] = {}
    for name, old in before.items():
        if old.is_floating_point():
            group = layer_group(name)
            difference = after[name].double() - old.double()
            moved[group] = moved.get(group, 0.0) + float(difference.square().sum())
            length[group] = length.get(group, 0.0) + float(old.double().square().sum())
    return {name: (moved[name] / length[name]) ** 0.5 if moved[name] else 0.0 for name in moved}


def layer_group(name: str) -> str:
    """Name the group that a parameter belongs to: 'encoder.2', 'stage3d', 'classifier', 'heads'."""
    first, *rest = name.split(".")
    if first != "trunk":
        return first
    if rest[0] == "backbone":
        rest = rest[1:]
    return ".".join(rest[:2]) if rest[1].isdigit() else rest[0]


def _compare_masks(
    task: Adaptation, before: Predictor, after: Predictor
) -> tuple[float, dict[str, ClassShare]]:
    """Share of pixels with another class, and the classes' shares, on the held-out frames in native size."""
    num_classes = before.scheme.num_classes
    counts = np.zeros((num_classes, num_classes), np.int64)  # rows before, columns after
    for number in task.chosen.held_out:
        frame = task.source.frame(number)
        old = before.predict(frame)
        new = old if after is before else after.predict(frame)
        pairs = old.astype(np.int64) * num_classes + new
        counts += np.bincount(pairs.ravel(), minlength=num_classes**2).reshape(counts.shape)
    shares = counts / counts.sum()
    return float(1.0 - np.trace(counts) / counts.sum()), {
        name: ClassShare(before=float(shares[i].sum()), after=float(shares[:, i].sum()))
        for i, name in enumerate(before.scheme.classes)
    }


def show_adaptation(report: AdaptReport) -> RenderableType:
    """Lay a report out for the terminal."""
    return Group(*_lines(report), _class_table(report), _weight_table(report))


def _lines(report: AdaptReport) -> Iterator[str]:
    fall = 1.0 - report.residual_after / report.residual_before if report.residual_before else 0.0
    yield (
        f"HOG residual {report.residual_before:.6f} -> {report.residual_after:.6f} ({-fall:+.1%}) on "
        f"{len(report.held_out_frames)} held-out frames; lowest at step {report.best_step} of "
        f"{report.num_steps}, ended by: {report.stop_reason}"
    )
    if report.has_gained:
        moved = f"{report.changed_pixels:.2%} of the pixels changed class"
        yield f"{report.num_adapted:,} weights could move; {moved}"
    else:
        yield "Nothing was gained: no model is written, the old one stands."


def _class_table(report: AdaptReport) -> Table:
    table = Table("class", "% of pixels before", "after")
    for name, share in report.class_share.items():
        table.add_row(name, f"{share.before * _PERCENT:.2f}", f"{share.after * _PERCENT:.2f}")
    return table


def _weight_table(report: AdaptReport) -> Table:
    table = Table("layers", "relative change of weights")
    for name, change in report.weight_change.items():
        table.add_row(name, f"{change:.2e}" if change else "0")
    return table
