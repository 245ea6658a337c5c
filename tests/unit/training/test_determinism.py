"""Deterministic mode is on in every part of a run, off after it, and names the operation it cannot have."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional
from torch.nn.modules import module as hooks

from napari_hogseg.io.errors import InputError
from napari_hogseg.models.pooling import pool_to_cells
from napari_hogseg.runs.events import Failed, read_events
from tests.unit.training.test_loop import weights, with_steps
from training import commands
from training.determinism import CUBLAS_VARIABLE, deterministic_mode
from training.exits import ExitCode, classify
from training.segmentation_losses import IGNORE, cross_entropy, lovasz_softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_hogseg.runs.config import RunConfig

State = tuple[bool, bool, bool, bool, str | None]
ON: State = (True, False, True, False, ":4096:8")


def state() -> State:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        os.environ.get(CUBLAS_VARIABLE),
    )


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(CUBLAS_VARIABLE, raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    before = state()
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert state() == before


@contextmanager
def at_every_layer(look: Callable[[], object]) -> Iterator[None]:
    """Call `look` in each layer's forward and backward pass."""

    def on_forward(_module: torch.nn.Module, _inputs: object, output: object) -> None:
        look()
        if isinstance(output, torch.Tensor) and output.requires_grad:
            output.register_hook(lambda _gradient: look())

    handle = hooks.register_module_forward_hook(on_forward)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("on", [True, False])
def test_a_run_is_in_the_mode_it_asks_for_from_first_to_last(
    config: RunConfig, tmp_path: Path, on: bool
) -> None:
    off = state()
    seen: list[State] = []
    with at_every_layer(lambda: seen.append(state())):
        config = with_steps(config, 2, deterministic=on)
        assert commands.train(config, tmp_path / "run", resume=False, for_parent=False) == ExitCode.DONE
        assert state() == off
        commands.find_rate(config, (1e-4, 1e-3), 2)
        commands.overfit_one_batch(config, tmp_path / "none", 2)
        commands.dry_run(config, tmp_path / "none")
    assert set(seen) == {ON if on else off}


def test_two_runs_are_equal_bit_for_bit(config: RunConfig, tmp_path: Path) -> None:
    loss = config.loss.model_copy(update={"dice": 0.5, "focal": 0.5, "lovasz": 0.5, "boundary": 0.01})
    config = with_steps(config.model_copy(update={"loss": loss}), 3, deterministic=True)
    first, second = tmp_path / "first", tmp_path / "second"
    for run in (first, second):
        torch.rand(1)  # what the process drew before is none of a run's business
        commands.train(config, run, resume=False, for_parent=False)
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_operation_without_a_deterministic_form_is_named(config: RunConfig, tmp_path: Path) -> None:
    def unpool() -> None:  # has none on a CPU either
        functional.max_unpool2d(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.int64), 2)

    config = with_steps(config, 2, deterministic=True)
    with at_every_layer(unpool), pytest.raises(RuntimeError) as raised:
        commands.train(config, tmp_path / "run", resume=False, for_parent=False)
    known = classify(raised.value)
    assert known is not None
    assert known[0] == ExitCode.BAD_INPUT
    assert "'max_unpooling2d_forward_out' has no deterministic form" in known[1]
    assert "train.deterministic = false" in known[2]
    told = list(read_events(tmp_path / "run" / "events.jsonl"))[-1]
    assert isinstance(told, Failed)
    assert (told.what, told.remedy) == known[1:]
    assert classify(RuntimeError("shape mismatch")) is None


def test_what_was_set_before_is_set_again_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setenv(CUBLAS_VARIABLE, ":16:8")
        earlier.setattr(torch.backends.cudnn, "benchmark", True)
        torch.use_deterministic_algorithms(True, warn_only=True)
        before, inside = state(), []
        try:
            with suppress(KeyError), deterministic_mode(on=True):
                inside.append(state())
                {}["an error"]
            after = state()
        finally:
            torch.use_deterministic_algorithms(False)
    assert before == after == (True, True, False, True, ":16:8")
    assert inside == [(True, False, True, False, ":16:8")]


def test_cublas_that_is_started_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as started:
        started.setattr(torch.cuda, "is_initialized", lambda: True)  # there is no GPU where tests run
        with pytest.raises(InputError, match="started already"), deterministic_mode(on=True):
            pass
        started.setenv(CUBLAS_VARIABLE, ":4096:8")
        with deterministic_mode(on=True):
            assert state() == ON


def test_losses_have_a_deterministic_form_that_is_the_same_sum() -> None:
    torch.manual_seed(0)
    mask = torch.randint(0, 3, (2, 9, 7))
    mask[0, :2] = IGNORE
    for loss, class_weights in product(
        (cross_entropy, lovasz_softmax), (None, torch.tensor([1.0, 2.0, 0.5]))
    ):
        found = []
        for on in (False, True):
            logits = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(1), requires_grad=True)
            with deterministic_mode(on=on):
                options = (class_weights,) if loss is cross_entropy else ()
                value = loss(logits, mask, *options)
                value.backward()
            found.append((value.detach(), logits.grad))
        torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("size", [(32, 48), (17, 23), (5, 9)])
def test_pooling_has_a_deterministic_form_that_is_the_same_mean(size: tuple[int, int]) -> None:
    found = []
    for on in (False, True):
        x_BCHW = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1), requires_grad=True)
        with deterministic_mode(on=on):
            pooled = pool_to_cells(x_BCHW, (4, 8))
            pooled.square().sum().backward()
        found.append((pooled.detach(), x_BCHW.grad))
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0][0], functional.adaptive_avg_pool2d(x_BCHW.detach(), (4, 8)))
