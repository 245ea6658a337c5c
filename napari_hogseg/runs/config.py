"""The configuration of a run: one definition behind recipe, flag, dock form, docs table and checkpoint.

Values are checked when an object is made; reading recipes and `--set` is the command line's part.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_hogseg.features.hog import HogParams
from napari_hogseg.features.pseudo_labels import BUILT_IN, NUM_MODES, make_pseudo_label, pseudo_label_names
from napari_hogseg.io.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hogseg.features.pseudo_labels import PseudoLabel

NetworkName = Literal["unet-s", "unet", "u2netp", "u2net", "segresnet", "flexible-unet", "smp-unet-resnet34"]
HeadName = Literal["grid", "official", "table1", "none"]
PrecisionName = Literal["float32", "bf16", "fp16"]
HogPreset = Literal["official-504", "official-756", "official-1680", "official-2520", "official-3780"]

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """Base of every configuration class: frozen, keyword-only, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DataConfig(Section):
    """Which frames: a layout and the groups (patients, sequences, videos) of each part."""

    root: str = Field(default="", description="Folder of the data set; --data sets it.")
    layout: str = Field(
        default="auto",
        description="Data-set layout, or the .toml file of your own; 'auto' recognises it from the folder.",
    )
    split: str = Field(
        default="",
        pattern=r"^[a-z0-9-]*$",
        description="A published split of the layout, such as 'official' or 'fold-0', instead of groups.",
    )
    train: tuple[str, ...] = Field(
        default=(), description="Groups to train on; empty: all that no other part names."
    )
    val: tuple[str, ...] = Field(default=(), description="Groups to validate on.")
    test: tuple[str, ...] = Field(
        default=(), description="Groups kept for the test; never trained or selected on."
    )
    train_share: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Share of each group's training frames, spread evenly; a smaller is part of a larger.",
    )
    unlabelled: tuple[str, ...] = Field(
        default=(), description="Groups whose frames teach the HOG task alone; their masks are never read."
    )
    unlabelled_rest: bool = Field(
        default=False,
        description="Training frames without a mask, or left out by train_share, teach the HOG task alone.",
    )

    @model_validator(mode="after")
    def _no_leak(self) -> Self:
        if self.split and (self.train or self.val or self.test):
            raise ValueError(
                "'split' and groups in train, val or test exclude each other: leave one of them out"
            )
        parts = {"train": self.train, "val": self.val, "test": self.test, "unlabelled": self.unlabelled}
        for name, groups in parts.items():
            for other, others in parts.items():
                shared = sorted(set(groups) & set(others))
                if name < other and shared:
                    raise ValueError(
                        f"{shared} stand in both '{name}' and '{other}': a group belongs to one part"
                    )
        return self


class ModelConfig(Section):
    """The network and its regression heads."""

    network: NetworkName = Field(default="unet-s", description="Segmentation network.")
    head: HeadName = Field(default="grid", description="HOG regression head; 'none' trains masks alone.")
    input_short_px: int = Field(
        default=256,
        ge=32,
        le=4096,
        description="Short side of a frame as it enters the network; the aspect ratio is kept.",
    )
    initial_weights: str = Field(
        default="",
        description="Weights file (.safetensors or a torch state_dict) that a new run starts from.",
    )


class HogConfig(Section):
    """The HOG pseudo-label."""

    preset: HogPreset = Field(default="official-504", description="HOG dimension as in the paper's Figure 5.")

    @property
    def params(self) -> HogParams:
        """The parameters behind the preset's name."""
        return HogParams.preset(self.preset)


class TargetConfig(Section):
    """What the regression heads learn: HOG, or another pseudo-label on HOG's cells."""

    kind: str = Field(
        default="hog",
        description="Pseudo-label: hog, hog-paper, hog-maskfeat, lbp, gradient-magnitude, fisher, zero (the "
        "control), or a name that an installed package offers.",
    )
    standardise: bool = Field(
        default=False,
        description="Bring every value to mean 0 and deviation 1 over the training frames.",
    )
    modes: int = Field(default=NUM_MODES, ge=1, le=256, description="Gaussians of the 'fisher' vector.")
    fit_frames: int = Field(
        default=256, ge=2, description="Training crops that mixture and statistics are estimated on."
    )

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        # Asking every installed package costs milliseconds: only where the name is none of ours.
        if kind not in BUILT_IN and kind not in (names := pseudo_label_names()):
            raise ValueError(
                f"there is no pseudo-label '{kind}': choose from {', '.join(names)}, or install the package "
                "that offers it"
            )
        return kind

    def label(self, hog: HogConfig) -> PseudoLabel:
        """Make the label, not fitted and not standardised yet."""
        return make_pseudo_label(self.kind, hog.params, self.modes)


class LossConfig(Section):
    """Equation 1 of the paper: alpha * sum of CE over outputs + beta * sum of HOG MSE over heads.

    The segmentation loss is a weighted sum of terms, each summed over all outputs; the paper's is CE alone.
    """

    alpha: float = Field(default=1.0, ge=0.0, description="Weight of the segmentation loss.")
    beta: float = Field(default=1.0, ge=0.0, description="Weight of the HOG loss; 0 leaves the HOG task out.")
    ce: float = Field(default=1.0, ge=0.0, description="Weight of the cross entropy.")
    dice: float = Field(default=0.0, ge=0.0, description="Weight of the soft Dice loss, over the batch.")
    focal: float = Field(default=0.0, ge=0.0, description="Weight of the focal loss.")
    focal_gamma: float = Field(default=2.0, ge=1.0, description="Exponent of the focal loss.")
    lovasz: float = Field(
        default=0.0, ge=0.0, description="Weight of the Lovász-softmax loss, over the classes of the batch."
    )
    boundary: float = Field(
        default=0.0,
        ge=0.0,
        description="Weight of the boundary loss, probability x signed distance in pixels; 0.01 is much.",
    )
    class_weighting: Literal["none", "inverse-frequency", "median-frequency", "explicit"] = Field(
        default="none",
        description="Weights of the classes in CE and focal loss, from the training masks or class_weights.",
    )
    class_weights: tuple[Annotated[float, Field(ge=0.0, allow_inf_nan=False)], ...] = Field(
        default=(), description="One weight a class, for class_weighting 'explicit'."
    )
    weighting: Literal["fixed", "uncertainty", "gradnorm", "pcgrad"] = Field(
        default="fixed",
        description="How the two tasks are balanced beyond alpha and beta; 'pcgrad' needs the extra "
        "'weighting'.",
    )
    gradnorm_alpha: float = Field(
        default=1.5, ge=0.0, description="Pull of 'gradnorm' towards the task that learns more slowly."
    )

    @model_validator(mode="after")
    def _terms(self) -> Self:
        if self.alpha > 0 and not self.ce + self.dice + self.focal + self.lovasz + self.boundary > 0:
            raise ValueError("the segmentation loss has no term: give ce or another one a weight above 0")
        if (self.class_weighting == "explicit") != bool(self.class_weights):
            raise ValueError("class_weights and class_weighting = 'explicit' go together")
        if self.weighting != "fixed" and not (self.alpha > 0 and self.beta > 0):
            raise ValueError(
                f"weighting '{self.weighting}' balances two tasks: set alpha and beta above 0, or weighting "
                "= 'fixed'"
            )
        return self


class OptimizerConfig(Section):
    """Adam and its learning-rate schedule."""

    learning_rate: float = Field(default=2e-4, gt=0.0, le=1.0, description="Peak learning rate.")
    schedule: Literal["step", "one-cycle", "constant", "poly", "cosine"] = Field(
        default="step",
        description="'step' multiplies by gamma every step_every steps, as the paper does.",
    )
    step_every: int = Field(
        default=50_000, ge=1, description="Steps between two drops of the 'step' schedule."
    )
    gamma: float = Field(
        default=0.5, gt=0.0, le=1.0, description="Factor of one drop of the 'step' schedule."
    )
    warm_up: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share of the run over which 'poly' and 'cosine' first rise, from a 25th of the peak.",
    )
    poly_power: float = Field(default=0.9, gt=0.0, description="Exponent of the 'poly' schedule's fall to 0.")
    clip_norm: float = Field(default=0.0, ge=0.0, description="Largest norm of the gradient; 0: unlimited.")
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0, description="Adam's first moment.")
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0, description="Adam's second moment.")
    weight_decay: float = Field(default=1e-7, ge=0.0, description="L2 term added to the gradient.")

    @model_validator(mode="after")
    def _warms_up(self) -> Self:
        if self.warm_up > 0 and self.schedule not in ("poly", "cosine"):
            raise ValueError("warm_up is for the schedules 'poly' and 'cosine': set it to 0 or choose one")
        return self


class AugmentConfig(Section):
    """Augmentation of a training frame; the mask follows with nearest neighbour, gaps become ignore."""

    crop_px: int = Field(default=256, ge=32, le=4096, description="Side of the square training crop.")
    hflip: Probability = Field(default=0.5, description="Probability of a left-right flip.")
    vflip: Probability = Field(default=0.5, description="Probability of an up-down flip.")
    rotation: Probability = Field(default=0.5, description="Probability of a rotation.")
    rotation_deg: float = Field(default=45.0, ge=0.0, le=180.0, description="Largest rotation, degrees.")
    zoom: float = Field(
        default=1.0, ge=1.0, le=4.0, description="Scale drawn from 1/zoom to zoom, log-uniform."
    )
    brightness: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Largest relative change of brightness."
    )
    contrast: float = Field(default=0.0, ge=0.0, lt=1.0, description="Largest relative change of contrast.")
    hue: float = Field(
        default=0.0, ge=0.0, lt=0.5, description="Largest relative gain of one colour channel."
    )


class TrainConfig(Section):
    """The loop."""

    num_steps: int = Field(default=150_000, ge=1, description="Optimiser steps.")
    batch_size: int = Field(default=16, ge=1, description="Frames in a step.")
    accumulate: int = Field(
        default=1,
        ge=1,
        description="Equal parts a step's batch is worked through in, gradients summed: less memory.",
    )
    sampling: Literal["uniform", "repeat-factor"] = Field(
        default="uniform",
        description="'repeat-factor' meets frames with a rare class more often in an epoch, as LVIS does.",
    )
    repeat_threshold: float = Field(
        default=0.15,
        gt=0.0,
        le=1.0,
        description="A class in a smaller share of the training frames is rare, for 'repeat-factor'.",
    )
    precision: PrecisionName = Field(
        default="float32",
        description="Number format of the forward pass; 'fp16' scales the loss and needs CUDA.",
    )
    ema: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Decay of a running mean of the weights, which is then scored and saved; 0: no mean.",
    )
    patience: int = Field(
        default=0, ge=0, description="Validations in a row without a better mIoU that end the run; 0: never."
    )
    seed: int = Field(default=0, ge=0, description="Seed of initialisation, order and augmentation.")
    validate_every: int = Field(default=1_000, ge=1, description="Steps between two validations.")
    checkpoint_every: int = Field(default=1_000, ge=1, description="Steps between two checkpoints.")
    log_every: int = Field(default=10, ge=1, description="Steps averaged into one progress event.")
    num_workers: int = Field(
        default=0, ge=0, description="Loader processes; 0 loads in the training process."
    )
    num_threads: int = Field(default=0, ge=0, description="Torch threads; 0 takes what the machine has.")
    device: str = Field(default="auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'.")
    unlabelled_share: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description="Share of a batch without masks where data.unlabelled or data.unlabelled_rest finds any.",
    )
    cache_mb: int = Field(
        default=2048,
        ge=0,
        description="MiB of decoded frames kept in memory, by each loader process for itself; 0: none.",
    )
    deterministic: bool = Field(
        default=False,
        description="The same weights from the same recipe, bit for bit, on a GPU too: slower there.",
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ValueError("batch_size must be a multiple of accumulate: the parts are equal")
        return self


class RunConfig(Section):
    """A whole run."""

    recipe: str = Field(default="", description="Name of the recipe it came from.")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    hog: HogConfig = HogConfig()
    target: TargetConfig = TargetConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model.head == "official" and self.augment.crop_px != 256:
            raise ValueError(
                "model.head 'official' accepts 256 px only: set augment.crop_px = 256 or head 'grid'"
            )
        if self.model.head == "none" and self.loss.beta > 0:
            raise ValueError(
                "model.head is 'none' while loss.beta is above 0: set loss.beta = 0 or choose a head"
            )
        return self


class FineTuneConfig(Section):
    """A short fine-tune on corrected frames, with old frames replayed against forgetting."""

    steps: int = Field(default=300, ge=1, le=1_000_000, description="Optimiser steps at most.")
    seconds: float | None = Field(default=None, gt=0.0, description="Time budget; None: steps alone decide.")
    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0, description="Peak learning rate.")
    batch_size: int = Field(default=8, ge=1, le=1024, description="Frames in a step.")
    replay: Probability = Field(
        default=0.5, description="Share of each batch that replays the old training frames."
    )
    validate_every: int = Field(default=50, ge=1, description="Steps between two validations.")
    seed: int = Field(default=0, ge=0, description="Seed of order and augmentation.")
    device: str = Field(default="auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'.")
    num_threads: int = Field(default=0, ge=0, description="Torch threads; 0 takes what the machine has.")


class AdaptConfig(Section):
    """Adaptation of a trained model to an unlabelled video, by the HOG loss alone."""

    what: Literal["norm", "trunk"] = Field(
        default="norm",
        description="What may move: scale and shift of the trunk's normalisation layers, or all of it.",
    )
    frames: int = Field(
        default=64,
        ge=5,
        le=1024,
        description="Frames taken, spread evenly; every fifth is held out for the residual.",
    )
    steps: int = Field(default=200, ge=1, le=100_000, description="Optimiser steps at most.")
    validate_every: int = Field(default=10, ge=1, description="Steps between two residuals.")
    patience: int = Field(
        default=3, ge=1, description="Residuals in a row without a new lowest that end the run."
    )
    learning_rate: float | None = Field(
        default=None, gt=0.0, le=1.0, description="Constant; None: 1e-3 for 'norm', 1e-4 for 'trunk'."
    )
    batch_size: int = Field(default=8, ge=1, le=1024, description="Frames in a step.")
    seed: int = Field(default=0, ge=0, description="Seed of order and augmentation.")
    device: str = Field(default="auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'.")
    num_threads: int = Field(default=0, ge=0, description="Torch threads; 0: all.")


SectionT = TypeVar("SectionT", bound=Section)


def parse_section(model: type[SectionT], table: dict[str, Any], where: object) -> SectionT:
    """Make `model` from a TOML table.

    Raises
    ------
    InputError
        Naming every field that is unknown or out of range.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']}"
            for item in error.errors()
        ]
        raise InputError(
            "; ".join(problems),
            where=where,
            remedy="`hogseg train --help` and docs/configuration.md list the fields.",
        ) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as a dict; InputError with file and line where it is none."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"Not a TOML file: {error}", where=path, remedy="Mend the line it names.") from error
    except OSError as error:
        raise InputError(f"Cannot be read: {error.strerror}", where=path, remedy="Check the path.") from error


def to_toml(section: Section) -> str:
    """Write a section as TOML text; fields that are None are left out, as TOML has no null."""
    return tomli_w.dumps(section.model_dump(mode="json", exclude_none=True))
