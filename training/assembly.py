"""Put a run together: data, network, optimiser and loader from a configuration. Nothing is trained here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader

from napari_hogseg.data.class_balance import count_pixels, inverse_frequency, median_frequency, repeat_factors
from napari_hogseg.data.layouts import DataSet, Sample, open_dataset
from napari_hogseg.data.splits import Split, split_samples, thin_split
from napari_hogseg.data.torch_data import FrameDataset, Source, StepSampler, Stream
from napari_hogseg.inference.predictor import choose_device
from napari_hogseg.io import atomic
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import (
    LAST,
    Checkpoint,
    ModelSpec,
    checkpoint_folders,
    load_checkpoint,
    load_weights,
    network_of,
)
from napari_hogseg.runs.config import RunConfig, parse_section, read_toml, to_toml
from training.health import make_probe
from training.initialisation import initial_network
from training.loop import Task, WatchedFrames
from training.step import Precision, WeightAverage
from training.stopping import Patience
from training.targets import Target, fit_target, restore_target
from training.unlabelled import training_sources, training_streams
from training.weighting import make_weighting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_hogseg.models.multitask import MultiTaskNetwork
    from napari_hogseg.runs.config import LossConfig, OptimizerConfig, TrainConfig

CONFIG_FILE = "config.toml"
EVENTS_FILE = "events.jsonl"
MIB = 1024**2


@dataclass(frozen=True)
class OpenedData:
    """A data set and its split, with the configuration's groups written out unless it names a split."""

    dataset: DataSet
    split: Split
    config: RunConfig


def open_data(config: RunConfig) -> OpenedData:
    """Open the data set a configuration names and divide it."""
    data = config.data
    dataset = open_dataset(data.root, data.layout)
    split = split_samples(
        dataset, data.train, data.val, data.test, split=data.split, unlabelled=data.unlabelled
    )
    trained_on = (*split.train, *(split.maskless if data.unlabelled_rest else ()))
    split = thin_split(split, data.train_share, rest=data.unlabelled_rest)
    groups = () if data.split else tuple(dict.fromkeys(sample.group for sample in trained_on))
    resolved = data.model_copy(update={"train": groups, "layout": dataset.layout.reference})
    return OpenedData(dataset, split, config.model_copy(update={"data": resolved}))


def assemble(
    config: RunConfig, run: Path, *, resume: bool, warn: Callable[[str], None] = lambda _text: None
) -> Task:
    """Make the task of a full run.

    Parameters
    ----------
    config : RunConfig
        With `data.root` set.
    run : Path
        Run folder; must hold no run unless `resume`.
    resume : bool
    warn : callable
        Gets what the person should know.

    Returns
    -------
    Task

    Raises
    ------
    InputError
        If data, split, device or folder do not fit.
    """
    if not resume:
        refuse_existing_run(run)
    set_threads(config.train.num_threads)
    checkpoint = load_checkpoint(run) if resume else None
    opened = open_data(config)
    config, split = opened.config, opened.split
    if split.caution:
        warn(f"Split '{config.data.split}': {split.caution}")
    spec = _spec(config, opened.dataset)
    device = choose_device(config.train.device)
    torch.manual_seed(config.train.seed)
    network = to_device(network_of(spec) if resume else initial_network(spec, warn), device)
    frames = _frames(config, training_sources(config, opened.dataset, split, warn))
    target = _target(config, frames, checkpoint)
    frames.label = None if target is None else target.label
    train = config.train
    streams = training_streams(
        train, len(split.train), len(split.unlabelled), repeats(train, opened.dataset, split.train)
    )
    task = Task(
        run=run,
        spec=spec,
        network=network,
        optimizer=make_optimizer(network, config.optimizer),
        device=device,
        frames=frames,
        make_loader=lambda first_step: _make_train_loader(frames, streams, train, first_step),
        watched=_watched("val", opened.dataset, split.val),
        loss=config.loss,
        class_weights=class_weights(config.loss, opened.dataset, split.train, device),
        schedule=config.optimizer,
        num_steps=train.num_steps,
        validate_every=train.validate_every,
        checkpoint_every=train.checkpoint_every,
        log_every=train.log_every,
        precision=Precision(train.precision, device),
        accumulate=train.accumulate,
        ema=WeightAverage(network, train.ema) if train.ema > 0 else None,
        patience=_patience(train, split),
        target={} if target is None else target.arrays,
    )
    _equip(task, config)
    if checkpoint is not None:
        for skipped in restore(task, checkpoint):
            warn(f"Passed over a damaged checkpoint: {skipped}")
    return task


def _frames(config: RunConfig, sources: Sequence[Source]) -> FrameDataset:
    return FrameDataset(
        sources,
        config.augment,
        None,
        short_px=config.model.input_short_px,
        seed=config.train.seed,
        cache_bytes=config.train.cache_mb * MIB,
    )


def _equip(task: Task, config: RunConfig) -> None:
    """Add what is made from the rest of the task."""
    task.health = make_probe(task, config.augment, config.train.batch_size)
    task.weighting = make_weighting(config, task.network, task.optimizer, task.device)


def _spec(config: RunConfig, dataset: DataSet) -> ModelSpec:
    return ModelSpec(
        model=config.model, hog=config.hog, target=config.target, scheme=dataset.scheme, data=config.data
    )


def _patience(config: TrainConfig, split: Split) -> Patience:
    if config.patience and not split.val:
        raise InputError(
            "Early stop needs frames to validate on",
            where="train.patience",
            remedy="Name groups in data.val, or set train.patience = 0.",
        )
    return Patience(config.patience)


def _target(config: RunConfig, frames: FrameDataset, checkpoint: Checkpoint | None) -> Target | None:
    """Fit the label on the training frames, or take it as the checkpoint has it; None without the task."""
    if config.loss.beta == 0:
        return None
    if checkpoint is not None:
        return restore_target(config.target, config.hog, checkpoint.target)
    return fit_target(config.target, config.hog, frames, config.train.seed)


def _watched(part: str, dataset: DataSet, samples: Sequence[Sample]) -> tuple[WatchedFrames, ...]:
    return (WatchedFrames(part, dataset, tuple(samples), selects=True),) if samples else ()


def class_weights(
    config: LossConfig, dataset: DataSet, samples: Sequence[Sample], device: torch.device
) -> torch.Tensor | None:
    """Weights of the classes by the recipe, (C,) float32; a function of the training masks, so never stored.

    Raises
    ------
    InputError
        If there is not one explicit weight for each class.
    """
    if config.class_weighting == "none":
        return None
    if config.class_weighting == "explicit":
        classes = dataset.scheme.classes
        if len(config.class_weights) != len(classes):
            raise InputError(
                f"{len(config.class_weights)} weights for {len(classes)} classes ({', '.join(classes)})",
                where="loss.class_weights",
                remedy="Give one weight a class, in this order.",
            )
        return torch.tensor(config.class_weights, device=device)
    weigh = inverse_frequency if config.class_weighting == "inverse-frequency" else median_frequency
    return torch.from_numpy(weigh(count_pixels(dataset, samples))).to(device)


def repeats(config: TrainConfig, dataset: DataSet, samples: Sequence[Sample]) -> tuple[float, ...]:
    """How often an epoch meets each frame; a function of the training masks, so never stored."""
    if config.sampling == "uniform":
        return ()
    return tuple(repeat_factors(count_pixels(dataset, samples), config.repeat_threshold).tolist())


def to_device(network: MultiTaskNetwork, device: torch.device) -> MultiTaskNetwork:
    """Move a network, its convolutions laid out channels last as the loop's batches are."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def make_optimizer(network: MultiTaskNetwork, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam with a group for the trunk and one for the heads.

    Adam works element by element, so two groups are the paper's two optimisers.
    """
    groups = [
        {"params": list(parameters)} for parameters in (network.trunk_parameters(), network.head_parameters())
    ]
    return torch.optim.Adam(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
    )


def _make_train_loader(
    frames: FrameDataset, streams: Sequence[Stream], train: TrainConfig, first_step: int
) -> DataLoader[object]:
    return make_loader(
        frames,
        streams,
        seed=train.seed,
        steps=(first_step, train.num_steps),
        num_workers=train.num_workers,
        num_parts=train.accumulate,
    )


def make_loader(
    frames: FrameDataset,
    streams: Sequence[Stream],
    *,
    seed: int,
    steps: tuple[int, int],
    num_workers: int = 0,
    num_parts: int = 1,
) -> DataLoader[object]:
    """Batches of the steps `steps[0] .. steps[1] - 1`."""
    sampler = StepSampler(streams, seed=seed, first_step=steps[0], num_steps=steps[1], num_parts=num_parts)
    return DataLoader(
        frames,
        batch_sampler=sampler,
        num_workers=num_workers,
        # Its own generator: the loader must not draw from torch's global stream.
        generator=torch.Generator().manual_seed(seed),
        pin_memory=torch.cuda.is_available(),
    )


def available_threads() -> int:
    """Count the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def set_threads(num_threads: int) -> None:
    """Set torch's threads; 0 takes what the machine lets this process have."""
    torch.set_num_threads(num_threads or available_threads())


def restore(task: Task, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Put a task back where a checkpoint left it; returns what was skipped as damaged."""
    resume = checkpoint.resume
    load_weights(task.model, checkpoint.weights, checkpoint.folder)
    if task.ema is not None:
        load_weights(task.network, resume["weights"], checkpoint.folder)
    task.optimizer.load_state_dict(resume["optimizer"])
    if task.weighting is not None:
        task.weighting.load_state_dict(resume["weighting"])
    # What follows is not in the checkpoints of versions that had none of these options.
    task.precision.scaler.load_state_dict(resume.get("scaler", {}))
    task.patience = Patience(**resume.get("patience", {"limit": task.patience.limit}))
    task.owes_validation = bool(resume.get("owes_validation"))
    task.step = int(resume["step"])
    task.best_miou = resume["best_miou"]
    task.last_miou = checkpoint.spec.miou
    return checkpoint.skipped


def refuse_existing_run(run: Path) -> None:
    """Refuse a folder that holds a run: nothing is trained over."""
    if (run / CONFIG_FILE).exists() or (run / LAST).exists() or checkpoint_folders(run):
        raise InputError(
            "This folder already holds a run",
            where=run,
            remedy="Add --resume to go on with it, or choose another --out.",
        )


def write_config(run: Path, config: RunConfig) -> None:
    """Write the resolved configuration into the run folder."""
    run.mkdir(parents=True, exist_ok=True)
    atomic.write_text(run / CONFIG_FILE, to_toml(config))


def read_config(run: Path) -> RunConfig:
    """Read the resolved configuration of a run folder."""
    path = run / CONFIG_FILE
    if not path.is_file():
        raise InputError(
            "There is no run to resume here", where=run, remedy="Leave --resume out to start one."
        )
    return parse_section(RunConfig, read_toml(path), path)
