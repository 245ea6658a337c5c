"""Defaults change nothing; each option of loss and engine does what it says on a real run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_hogseg.data.class_balance import count_pixels, median_frequency
from napari_hogseg.data.torch_data import CACHE_BYTES
from napari_hogseg.io.errors import InputError
from napari_hogseg.io.images import read_mask, write_mask
from napari_hogseg.runs.events import Progress
from training.assembly import assemble
from training.loop import run_task
from training.stopping import StopFlag

if TYPE_CHECKING:
    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent

TRACES = json.loads(Path(__file__).with_name("loss_traces.json").read_text("utf-8"))
"""Loss, CE and MSE of eight steps, written down before the recipe had any option but the paper's."""


def changed(config: RunConfig, section: str, **values: object) -> RunConfig:
    made = getattr(config, section)
    return config.model_copy(update={section: type(made)(**(made.model_dump() | values))})


def run(config: RunConfig, folder: Path) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    run_task(assemble(config, folder, resume=False), StopFlag(), events.append)
    return events


def progress(events: list[AnyEvent]) -> list[Progress]:
    return [event for event in events if isinstance(event, Progress)]


@pytest.mark.parametrize("name", sorted(TRACES))
def test_the_defaults_leave_the_loss_trace_as_it_was(config: RunConfig, tmp_path: Path, name: str) -> None:
    network, schedule = name.split()
    config = changed(config, "model", network=network)
    config = changed(config, "optimizer", schedule=schedule)
    told = progress(run(changed(config, "train", log_every=1), tmp_path / "run"))
    # Another CPU's kernels may differ in the last digits; a changed recipe differs in the first.
    for event, stored in zip(told, TRACES[name], strict=True):
        assert (event.loss, event.ce, event.mse) == pytest.approx(stored, rel=2e-3)
    assert all(event.extra == {} for event in told)


def test_a_step_of_the_defaults_is_a_plain_step_bit_for_bit(config: RunConfig, tmp_path: Path) -> None:
    """The paper's step written out plainly: the same bits, whatever the machine."""
    config = changed(config, "train", num_steps=3, log_every=1)
    told = progress(run(config, tmp_path / "run"))
    task = assemble(config, tmp_path / "other", resume=False)
    task.network.train()
    losses = []
    for batch in task.make_loader(0):
        image = (batch["image"].float() / 255.0).contiguous(memory_format=torch.channels_last)
        output = task.network(image)
        ce = functional.cross_entropy(output.logits[0], batch["mask"], ignore_index=255, reduction="sum")
        ce = ce / (batch["mask"] != 255).sum()
        loss = ce + functional.mse_loss(output.hog[0], batch["hog"])
        task.optimizer.zero_grad()
        loss.backward()
        task.optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == [event.loss for event in told]


def test_terms_are_told_apart_and_sum_to_the_loss(config: RunConfig, tmp_path: Path) -> None:
    config = changed(config, "loss", ce=0.5, dice=1.0, lovasz=2.0, focal=0.1, boundary=0.01)
    told = progress(run(changed(config, "train", num_steps=4), tmp_path / "run"))
    weights = {"dice": 1.0, "lovasz": 2.0, "focal": 0.1, "boundary": 0.01}
    for event in told:
        assert set(event.extra) == set(weights)
        total = sum(weights[name] * value for name, value in event.extra.items())
        assert event.loss == pytest.approx(0.5 * event.ce + total + event.mse, rel=1e-5)


def test_class_weights_come_from_the_training_masks(config: RunConfig, tmp_path: Path) -> None:
    task = assemble(
        changed(config, "loss", class_weighting="median-frequency"), tmp_path / "run", resume=False
    )
    dataset = task.watched[0].dataset
    samples = [sample for sample in dataset.samples if sample.group in ("a", "b")]
    assert task.class_weights.tolist() == median_frequency(count_pixels(dataset, samples)).tolist()
    explicit = changed(config, "loss", class_weighting="explicit", class_weights=(1.0, 2.0))
    with pytest.raises(InputError, match=r"2 weights for 3 classes \(background, tool, tissue\)"):
        assemble(explicit, tmp_path / "run", resume=False)


def test_repeats_come_from_the_training_masks(config: RunConfig, tmp_path: Path) -> None:
    config = changed(config, "train", sampling="repeat-factor", repeat_threshold=0.9, num_steps=40)
    for name in ("frame_0", "frame_1"):  # the tool stays in two of the four training frames
        path = next((Path(config.data.root) / "masks" / "a").glob(f"{name}*"))
        mask, _ = read_mask(path), path.unlink()
        write_mask(path, np.where(mask == 1, 0, mask).astype(np.uint8))
    task = assemble(config, tmp_path / "run", resume=False)
    met = Counter(int(index) for batch in task.make_loader(0) for index in batch["index"])
    share = [met[index] / sum(met.values()) for index in range(4)]
    factor = (0.9 / 0.5) ** 0.5
    assert share == pytest.approx([1 / (2 + 2 * factor)] * 2 + [factor / (2 + 2 * factor)] * 2, abs=0.05)


def test_the_frame_cache_is_as_large_as_the_recipe_says_and_changes_no_loss(
    config: RunConfig, tmp_path: Path
) -> None:
    config = changed(changed(config, "target", standardise=True), "train", num_steps=3)
    without = changed(config, "train", cache_mb=0)
    default = assemble(config, tmp_path / "run", resume=False).frames
    assert default.cache_bytes == CACHE_BYTES
    assert len(default._cache) == 4  # the fit of the statistics reads all training frames
    assert not assemble(without, tmp_path / "run", resume=False).frames._cache
    losses = [[e.loss for e in progress(run(c, tmp_path / str(n)))] for n, c in enumerate((config, without))]
    assert losses[0] == losses[1]
