"""Runs as TensorBoard sees them: scalars, messages and the recipe, made from `events.jsonl`.

The events stay the source of truth: what is written here can be deleted and made again, from any run and at
any time. Nothing here is part of training, and TensorBoard is imported only when something is written.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.events import (
    AuxiliaryHealth,
    Failed,
    Finished,
    Message,
    Progress,
    Started,
    Validated,
    parse_event,
)
from training.assembly import CONFIG_FILE, EVENTS_FILE, read_config
from training.weighting import NAMES as WEIGHT_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from torch.utils.tensorboard import SummaryWriter

    from napari_hogseg.runs.config import RunConfig
    from napari_hogseg.runs.events import AnyEvent

    Point = Progress | Validated | AuxiliaryHealth
    Placed = tuple[int, AnyEvent]
    """An event and its step."""
    Value = bool | float | str

SUFFIX = ".hogseg"
"""End of the names of our files: only these are ever replaced."""
EVENT_FILES = "events.out.tfevents.*"
POLL_S = 1.0
MESSAGES = "messages"
SCORE = "val/miou"
"""The metric of TensorBoard's table of recipes."""


def write_runs(
    sources: Sequence[Path],
    out: Path,
    *,
    follow: bool = False,
    tell: Callable[[str], None] = lambda _text: None,
    wait: Callable[[], None] = lambda: time.sleep(POLL_S),
) -> int:
    """Write runs for TensorBoard, each to `out/NAME`; called again, what was written is replaced.

    Parameters
    ----------
    sources : sequence of Path
        Run folders, or folders with runs below: those are named after their place in it.
    out : Path
        TensorBoard's log folder.
    follow : bool
        Go on until every run has finished. A folder of runs may get more, so it is followed until Ctrl-C.
    tell : callable
        Gets a line for every run that is found.
    wait : callable
        Called between two looks at the runs, with `follow`.

    Returns
    -------
    int
        Number of runs.

    Raises
    ------
    InputError
        If a folder holds no run, two runs have one name, `out/NAME` holds TensorBoard files of another
        program, or TensorBoard is not installed.
    """
    make_writer = _load_writer()
    exports: dict[str, RunExport] = {}
    with ExitStack() as stack:
        try:
            while True:
                for name, run in find_runs(sources, may_wait=follow).items():
                    if name not in exports:
                        exports[name] = RunExport(run, out / name, make_writer)
                        stack.callback(exports[name].close)
                        tell(f"{run}: {out / name}")
                    exports[name].update(keep_open=follow)
                if not follow or _is_all_done(sources, exports):
                    break
                wait()
        except KeyboardInterrupt:
            if not follow:  # there it is the way to end it, no error
                raise
    return len(exports)


def find_runs(sources: Sequence[Path], *, may_wait: bool = False) -> dict[str, Path]:
    """Find the runs that folders are or hold, by the names TensorBoard will show.

    Parameters
    ----------
    sources : sequence of Path
    may_wait : bool
        Whether a folder may be without events as yet.

    Raises
    ------
    InputError
        If a folder is missing or holds no run, or if two runs would have one name.
    """
    runs: dict[str, Path] = {}
    for source in sources:
        found = _runs_of(source)
        if not source.is_dir() or not (found or may_wait):
            raise InputError(
                "No run here" if source.is_dir() else "No such folder",
                where=source,
                remedy="Name run folders (with events.jsonl), or a folder that holds some.",
            )
        for name, run in found.items():
            if runs.setdefault(name, run).resolve() != run.resolve():
                raise InputError(
                    f"Two runs would both be called '{name}'",
                    where=f"{runs[name]}, {run}",
                    remedy="Name the folder that holds both in their place.",
                )
    return runs


def _runs_of(source: Path) -> dict[str, Path]:
    if (source / EVENTS_FILE).is_file():
        return {source.resolve().name: source}
    folders = sorted(path.parent for path in source.rglob(EVENTS_FILE))
    top = source.resolve().name
    return {f"{top}/{folder.relative_to(source).as_posix()}": folder for folder in folders}


def _is_all_done(sources: Sequence[Path], exports: dict[str, RunExport]) -> bool:
    are_runs = all((source / EVENTS_FILE).is_file() for source in sources)
    return are_runs and all(export.is_done for export in exports.values())


@dataclass
class RunExport:
    """One run's TensorBoard file, and how far its events are in it.

    Attributes
    ----------
    run, folder : Path
        Of the run, and for TensorBoard.
    make_writer : callable
        TensorBoard's `SummaryWriter`.
    is_done : bool
        Whether the last process of the run has said its last.
    """

    run: Path
    folder: Path
    make_writer: Callable[..., SummaryWriter]
    is_done: bool = False
    _num_bytes: int = 0
    _num_messages: int = 0
    _step: int = 0
    _writer: SummaryWriter | None = field(default=None, repr=False)

    def update(self, *, keep_open: bool) -> None:
        """Write what the run has told since the last time.

        A resumed process takes steps again that the one before it had told already, so then the file is made
        anew, as on the first call.
        """
        if self._num_bytes == self._path.stat().st_size:
            return
        new = list(self._read(self._num_bytes))
        if not new:
            return
        if self._writer is None or any(isinstance(event, Started) for event in new):
            self._rewrite()
        else:
            self._write(with_steps(new, self._step))
        if self.is_done or not keep_open:
            self.close()

    def close(self) -> None:
        """Close the file; what has been written is in it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def _path(self) -> Path:
        return self.run / EVENTS_FILE

    def _read(self, offset: int) -> Iterator[AnyEvent]:
        """Yield the events of all whole lines from a byte on, and remember where these end."""
        if self._path.stat().st_size < offset:  # another run in its place
            offset = 0
        with self._path.open("rb") as file:
            file.seek(offset)
            self._num_bytes = offset
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._num_bytes += len(line)
                event = parse_event(line)
                if event is not None:
                    yield event

    def _rewrite(self) -> None:
        self.close()
        old = self._own_files()
        # Step 0 as purge step: a TensorBoard that runs meanwhile forgets what it read of the file before.
        self._writer = self.make_writer(self.folder, purge_step=0, filename_suffix=SUFFIX)
        self._num_messages = self._step = 0
        self._write_recipe(self._writer)
        self._write(without_repeats(with_steps(self._read(0))))
        for path in old:  # last: a reader finds the points in one file or in both, never in none
            path.unlink(missing_ok=True)

    def _own_files(self) -> list[Path]:
        found = sorted(self.folder.glob(EVENT_FILES))
        foreign = [path for path in found if not path.name.endswith(SUFFIX)]
        if foreign:
            raise InputError(
                "TensorBoard files of another program lie here",
                where=foreign[0],
                remedy="Choose another --out: in this one their points would mix with ours.",
            )
        return found

    def _write_recipe(self, writer: SummaryWriter) -> None:
        """Write the recipe's values, which TensorBoard's HParams page compares; a fine-tune has none."""
        if not (self.run / CONFIG_FILE).is_file():
            return
        from torch.utils.tensorboard.summary import hparams

        values = recipe_values(read_config(self.run))
        for summary in hparams(values, {SCORE: 0.0}):  # type: ignore[no-untyped-call]
            writer.file_writer.add_summary(summary, 0)  # type: ignore[attr-defined]  # None once closed

    def _write(self, placed: Iterable[Placed]) -> None:
        writer = self._writer
        assert writer is not None  # noqa: S101 - opened by _rewrite, which comes first
        for self._step, event in placed:
            if _is_point(event):
                for tag, value in scalars(event).items():
                    writer.add_scalar(tag, value, event.step, event.time_s)
            text = told(event)
            if text:
                # Its number in place of a step: TensorBoard keeps one text a step, and a message is of none.
                writer.add_text(MESSAGES, f"step {self._step}: {text}", self._num_messages, event.time_s)
                self._num_messages += 1
            self.is_done = isinstance(event, (Finished, Failed))
        writer.flush()


def with_steps(events: Iterable[AnyEvent], step: int = 0) -> Iterator[Placed]:
    """Pair each event with the step it falls in; `step` is that of the one before them."""
    for event in events:
        step = event.first_step if isinstance(event, Started) else getattr(event, "step", step)
        yield step, event


def without_repeats(placed: Iterable[Placed]) -> list[Placed]:
    """Leave out the points of steps that a resumed process took again; the last word on a step counts."""
    kept: dict[tuple[str, str, int], Placed] = {}
    for number, (step, event) in enumerate(placed):
        if isinstance(event, Started):
            kept = {key: old for key, old in kept.items() if not (_is_point(old[1]) and old[0] > step)}
        is_point = _is_point(event)
        key = (event.kind, getattr(event, "part", ""), step if is_point else number)
        kept.pop(key, None)  # so that the order stays the file's
        kept[key] = (step, event)
    return list(kept.values())


def _is_point(event: AnyEvent) -> TypeGuard[Point]:
    return isinstance(event, (Progress, Validated, AuxiliaryHealth))


def scalars(event: Point) -> dict[str, float]:
    """Name the numbers of an event as TensorBoard shows them; what is None is left out."""
    match event:
        case Progress():
            weights = {name: value for name, value in event.extra.items() if name in WEIGHT_NAMES}
            terms = {name: value for name, value in event.extra.items() if name not in weights}
            return {
                **{f"loss/{name}": getattr(event, name) for name in ("loss", "ce", "mse")},
                **{f"loss/{name}": value for name, value in terms.items()},
                **{f"weight/{name.removeprefix('weight_')}": value for name, value in weights.items()},
                "training/lr": event.lr,
                "training/frames_per_s": event.frames_per_s,
            }
        case Validated():
            classes = {f"{event.part}/iou/{name}": value for name, value in event.iou.items()}
            return {f"{event.part}/miou": event.miou} | _known(classes)
        case AuxiliaryHealth():
            return {f"health/{name}": value for name, value in _known(_health(event)).items()}


def _health(event: AuxiliaryHealth) -> dict[str, float | None]:
    heads = {
        f"{name}/head_{number}": getattr(head, name)
        for number, head in enumerate(event.heads)
        for name in ("r2_mean", "r2_zero", "mse")
    }
    names = (
        *("target_variance", "gradient_cosine"),
        *("segmentation_gradient_norm", "auxiliary_gradient_norm"),
    )
    return heads | {name: getattr(event, name) for name in names}


def _known(values: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def told(event: AnyEvent) -> str:
    """Put what an event says in words, empty for one that speaks in numbers."""
    match event:
        case Started():
            return (
                f"{event.command} on {event.device} from step {event.first_step}: {event.num_train_frames} "
                f"frames, {event.num_val_frames} watched, {event.num_parameters:,} parameters"
            )
        case Message():
            return f"{event.level}: {event.text}"
        case AuxiliaryHealth():
            return event.note
        case Finished():
            return f"finished: {event.reason}"
        case Failed():
            return f"failed: {event.what} {event.remedy}".rstrip()
        case _:
            return ""


def recipe_values(config: RunConfig) -> dict[str, Value]:
    """Flatten a recipe to `section.field`; the data's place on this machine is nobody's business."""
    values: dict[str, Value] = {}
    for section, fields in config.model_dump(mode="json").items():
        for name, value in fields.items() if isinstance(fields, dict) else [("", fields)]:
            key = f"{section}.{name}".rstrip(".")
            if value is not None and key != "data.root":
                values[key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return values


def _load_writer() -> Callable[..., Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "TensorBoard is not installed",
            where="hogseg tensorboard",
            remedy='Install it: pip install "napari-hogseg[track]".',
        ) from error
    return SummaryWriter
