"""The picture of a sweep shows its losses, marks the rate; one that cannot be is refused before the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from napari_hogseg.io.errors import InputError
from training import commands, plots
from training.probing import RateTrial

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from napari_hogseg.runs.config import RunConfig

TRIALS = [
    RateTrial(10.0**power, loss, smoothed)
    for power, loss, smoothed in ((-4, 2.0, 2.0), (-3, 1.2, 1.6), (-2, 0.8, 1.1), (-1, 90.0, 20.0))
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of every picture that is written, kept to be looked at."""
    kept: list[Axes] = []
    write = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        kept.extend(figure.axes)
        write(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_the_picture_shows_every_loss_and_the_rate(tmp_path: Path, drawn: list[Axes]) -> None:
    plots.draw_rates(TRIALS, 1e-3, tmp_path / "new" / "rates.png", "toy")
    with Image.open(tmp_path / "new" / "rates.png") as picture:
        assert picture.size == (960, 630)
    (axes,) = drawn
    each, smoothed, rule, mark = axes.lines
    np.testing.assert_array_equal(each.get_xydata(), [trial[:2] for trial in TRIALS])
    np.testing.assert_array_equal(smoothed.get_xydata(), [(t.rate, t.smoothed) for t in TRIALS])
    assert list(rule.get_xdata()) == [1e-3, 1e-3]
    assert mark.get_xydata().tolist() == [[1e-3, pytest.approx(1.6)]]
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()][-1] == "falls fastest: 1.0e-03"
    low, high = axes.get_ylim()
    assert low < 0.8
    assert 2.0 < high < 3.0  # the loss that blew up flattens nothing


def test_a_loss_that_never_falls_is_drawn_without_a_rate(tmp_path: Path, drawn: list[Axes]) -> None:
    plots.draw_rates([RateTrial(r, 1.0, 1.0) for r in (1e-3, 1e-2)], None, tmp_path / "flat.pdf")
    plots.draw_rates(TRIALS[:1], None, tmp_path / "one.svg")
    assert (tmp_path / "flat.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "one.svg").read_text("utf-8")
    assert [len(axes.lines) for axes in drawn] == [2, 2]


def test_a_picture_that_cannot_be_is_refused_before_the_sweep(config: RunConfig, tmp_path: Path) -> None:
    nowhere = config.model_copy(update={"data": config.data.model_copy(update={"root": "/nowhere"})})
    with pytest.raises(InputError, match=r"No picture is written as '\.bmp'"):
        commands.find_rate(nowhere, (1e-4, 1e-1), 4, None, tmp_path / "rates.bmp")
    with pytest.raises(InputError, match="ended before its first loss"):
        plots.draw_rates([], None, tmp_path / "rates.png")
