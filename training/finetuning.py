"""A short fine-tune on corrected frames: the base model goes on learning, with old frames replayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hogseg.data.layouts import DataSet, Sample, open_dataset
from napari_hogseg.data.splits import split_samples, thin_samples
from napari_hogseg.data.torch_data import FrameDataset, Source, Stream
from napari_hogseg.inference.predictor import choose_device
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import ModelSpec, load_network, read_target, resolve_model_folder
from napari_hogseg.runs.config import AugmentConfig, LossConfig, OptimizerConfig
from training.assembly import make_loader, make_optimizer, refuse_existing_run, set_threads, to_device
from training.health import make_probe
from training.loop import Task, WatchedFrames
from training.selection import select_frames
from training.step import Precision
from training.targets import restore_target

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from napari_hogseg.runs.config import DataConfig, FineTuneConfig

MAX_GUARD_FRAMES = 24
"""Old frames scored for forgetting: enough to see a fall, few enough not to eat the time budget."""

CHECKPOINT_EVERY = 100
AUGMENT_HFLIP = 0.5


@dataclass(frozen=True)
class FineTuneInput:
    """What a fine-tune is made from."""

    base: Path
    data: Path
    frames: str
    replay_data: Path | None
    layout: str = "auto"


def assemble_finetune(
    source: FineTuneInput, config: FineTuneConfig, run: Path, warn: Callable[[str], None]
) -> Task:
    """Make the task of a fine-tune.

    Parameters
    ----------
    source : FineTuneInput
    config : FineTuneConfig
    run : Path
        Folder for the new run.
    warn : callable
        Gets what the person should know, such as that nothing can be replayed.

    Returns
    -------
    Task

    Raises
    ------
    InputError
        If the model, the data or the frames do not fit together.
    """
    refuse_existing_run(run)
    set_threads(config.num_threads)
    base = resolve_model_folder(source.base)
    spec, network, _ = load_network(base)
    corrected, samples = _corrected(source, spec)
    replayed = _replayed(source, spec, samples, warn)
    has_heads = spec.model.head != "none"
    # The base model's own statistics: its heads were taught in them.
    target = restore_target(spec.target, spec.hog, read_target(base)) if has_heads else None
    sources = [Source(corrected, samples), *([replayed] if replayed else [])]
    augmentation = mild_augmentation(spec)
    frames = FrameDataset(
        sources,
        augmentation,
        None if target is None else target.label,
        short_px=spec.model.input_short_px,
        seed=config.seed,
    )
    streams = _streams(len(samples), len(frames), config)
    device = choose_device(config.device)
    network = to_device(network, device)
    schedule = OptimizerConfig(learning_rate=config.learning_rate, schedule="one-cycle")
    task = Task(
        run=run,
        spec=spec.model_copy(update={"step": 0, "miou": None}),
        network=network,
        optimizer=make_optimizer(network, schedule),
        device=device,
        frames=frames,
        make_loader=lambda first_step: make_loader(
            frames, streams, seed=config.seed, steps=(first_step, config.steps)
        ),
        watched=_watched(corrected, samples, replayed),
        loss=LossConfig(beta=1.0 if has_heads else 0.0),
        class_weights=None,
        schedule=schedule,
        num_steps=config.steps,
        validate_every=config.validate_every,
        checkpoint_every=CHECKPOINT_EVERY,
        log_every=5,
        precision=Precision("float32", device),
        target={} if target is None else target.arrays,
        validate_first=True,
    )
    task.health = make_probe(task, augmentation, config.batch_size)
    return task


def _corrected(source: FineTuneInput, spec: ModelSpec) -> tuple[DataSet, tuple[Sample, ...]]:
    dataset = open_dataset(source.data, source.layout)
    if dataset.scheme.classes != spec.scheme.classes:
        raise InputError(
            f"The frames have the classes {', '.join(dataset.scheme.classes)}, "
            f"the model {', '.join(spec.scheme.classes)}",
            where=source.data,
            remedy="Fine-tune a model that was trained on the same classes.",
        )
    samples = tuple(s for s in select_frames(dataset, source.frames) if s.mask_path is not None)
    if not samples:
        raise InputError(
            "None of these frames has a mask", where=source.data, remedy="Correct a frame first."
        )
    for sample in samples:
        dataset.read_pair(sample)  # few files: a bad one is named before training, not in the middle of it
    return dataset, samples


def _replayed(
    source: FineTuneInput, spec: ModelSpec, corrected: tuple[Sample, ...], warn: Callable[[str], None]
) -> Source | None:
    """Find the frames the base model was trained on, in the data given or where its training found them."""
    trained_on = spec.data
    for root in (source.replay_data, source.data, Path(trained_on.root) if trained_on.root else None):
        dataset = _open_quietly(root, trained_on.layout)
        if dataset is None:
            continue
        own = {sample.image_path.resolve() for sample in corrected}
        samples = tuple(
            sample for sample in _trained_on(dataset, trained_on) if sample.image_path.resolve() not in own
        )
        if samples:
            return Source(dataset, samples)
    warn(
        "The model's training frames are not here, so none are replayed: it may forget what it knew. "
        "Name their data set as replay data (--replay-data)."
    )
    return None


def _trained_on(dataset: DataSet, data: DataConfig) -> tuple[Sample, ...]:
    """Training frames of a configuration in a data set; none where that set does not hold them all."""
    try:
        if data.split:
            trained_on = split_samples(dataset, split=data.split).train
        else:
            trained_on = tuple(s for s in dataset.in_groups(data.train) if s.mask_path is not None)
    except InputError:
        return ()
    return thin_samples(trained_on, data.train_share)


def _open_quietly(root: Path | None, layout: str) -> DataSet | None:
    try:
        return None if root is None else open_dataset(root, layout)
    except InputError:
        return None


def _streams(num_corrected: int, num_frames: int, config: FineTuneConfig) -> tuple[Stream, ...]:
    num_old = num_frames - num_corrected
    per_replay = round(config.replay * config.batch_size) if num_old else 0
    per_replay = min(per_replay, config.batch_size - 1)  # at least one corrected frame a batch
    return (
        Stream(0, num_corrected, config.batch_size - per_replay),
        Stream(num_corrected, num_old, per_replay),
    )


def mild_augmentation(spec: ModelSpec) -> AugmentConfig:
    """Choose crops where no recipe says how, mild: frames are few, and the colours of this video matter."""
    crop_px = 256 if spec.model.head == "official" else max(32, spec.model.input_short_px // 32 * 32)
    return AugmentConfig(
        crop_px=crop_px,
        hflip=AUGMENT_HFLIP,
        vflip=0.0,
        rotation=0.5,
        rotation_deg=20.0,
        zoom=1.2,
        brightness=0.15,
        contrast=0.15,
        hue=0.05,
    )


def _watched(
    corrected: DataSet, samples: tuple[Sample, ...], replayed: Source | None
) -> tuple[WatchedFrames, ...]:
    """Corrected frames show that it learns; a spread of old ones, the guard, that it does not forget."""
    # Neither selects: they are trained on, so their best step says nothing. The last checkpoint counts.
    watched = [WatchedFrames("corrected", corrected, samples, selects=False)]
    if replayed is not None:
        stride = max(1, len(replayed.samples) // MAX_GUARD_FRAMES)
        guard = tuple(replayed.samples[::stride])
        watched.append(WatchedFrames("guard", replayed.dataset, guard, selects=False))
    return tuple(watched)


def num_parameters(network: torch.nn.Module) -> int:
    """Count the parameters of a network, heads included."""
    return sum(parameter.numel() for parameter in network.parameters())
