"""A trained model applied to frames: load once, then frames in, class ids out.

Legend: H, W native size; h, w size at the network's input; C classes.
"""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_hogseg.data.augment import resize_frame
from napari_hogseg.inference.options import InferenceOptions
from napari_hogseg.inference.pixel_probabilities import PixelProbabilities
from napari_hogseg.inference.tiling import predict_in_windows
from napari_hogseg.io.errors import InputError
from napari_hogseg.runs.checkpoint import ModelSpec, load_network, read_target, resolve_model_folder
from napari_hogseg.runs.target_label import restore_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt

    from napari_hogseg.data.scheme import LabelScheme
    from napari_hogseg.features.hog import HogParams
    from napari_hogseg.features.pseudo_labels import PseudoLabel
    from napari_hogseg.models.multitask import MultiTaskNetwork


def choose_device(name: str = "auto") -> torch.device:
    """Find the device to compute on.

    Parameters
    ----------
    name : str
        'auto' takes CUDA, then Apple's MPS, then the CPU; else a torch device name.

    Raises
    ------
    InputError
        If the named device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Device '{name}' cannot be used: {str(error).splitlines()[0]}",
            where="device",
            remedy="Use 'auto' or 'cpu'.",
        ) from error
    return device


class Predictor:
    """A loaded model. Calls from several threads take turns.

    Parameters
    ----------
    network : MultiTaskNetwork
    spec : ModelSpec
    device : torch.device
    name : str
        For display.
    digest : str
        SHA-256 of the weights: part of every cache key.
    target : mapping, optional
        Fitted arrays of the pseudo-label.
    options : InferenceOptions, optional
        Windows and views; by default the frame is seen whole and once.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        spec: ModelSpec,
        device: torch.device,
        *,
        name: str,
        digest: str,
        target: Mapping[str, npt.NDArray[np.float32]] | None = None,
        options: InferenceOptions | None = None,
    ) -> None:
        # Denormals of a barely trained network slow a CPU down tenfold.
        torch.set_flush_denormal(True)
        self._network = network.to(device).eval()
        self._lock = threading.Lock()
        self.spec, self.device, self.name, self.digest = spec, device, name, digest
        self._target = dict(target or {})
        self.options = options or InferenceOptions()

    @classmethod
    def load(
        cls, path: Path | str, device: str = "auto", options: InferenceOptions | None = None
    ) -> Predictor:
        """Load a run folder, a checkpoint or a model folder.

        Raises
        ------
        InputError
            If there is no model, a digest differs, or the device is not there.
        """
        folder = resolve_model_folder(Path(path))
        spec, network, digest = load_network(folder)
        return cls(
            network,
            spec,
            choose_device(device),
            name=_display_name(Path(path), folder),
            digest=digest,
            target=read_target(folder),
            options=options,
        )

    @property
    def scheme(self) -> LabelScheme:
        """The classes it predicts."""
        return self.spec.scheme

    @property
    def hog(self) -> HogParams:
        """The HOG its heads learned."""
        return self.spec.hog.params

    @property
    def network(self) -> MultiTaskNetwork:
        """The network, in evaluation mode: to be run by another thread without waiting for a turn."""
        return self._network

    @cached_property
    def label(self) -> PseudoLabel:
        """What its heads were taught; InputError where the label cannot be made again."""
        return restore_label(self.spec.target, self.spec.hog, self._target)

    def predict(self, frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Segment one frame.

        Parameters
        ----------
        frame_HWC : (H, W, 3) uint8 ndarray

        Returns
        -------
        (H, W) uint8 ndarray
            Class ids at native size.
        """
        with torch.inference_mode():
            return best_classes(self._scores(self._views(frame_HWC), frame_HWC))

    def predict_with_probabilities(
        self, frame_HWC: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], PixelProbabilities]:
        """Segment one frame, and keep what tells the probabilities of its pixels.

        Returns
        -------
        (H, W) uint8 ndarray
            As of `predict`.
        PixelProbabilities
        """
        with torch.inference_mode():
            views = list(self._views(frame_HWC))
            class_ids = best_classes(self._scores(views, frame_HWC))
            maps = tuple(view.half().cpu().numpy() for view in views)
        return class_ids, PixelProbabilities(class_ids.shape, maps)

    def probabilities(self, frame_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Class probabilities of one frame, (C, H, W) float32, native size: the mean of all views."""
        with torch.inference_mode():
            scores = self._scores(self._views(frame_HWC), frame_HWC)
            return (scores if len(self.options.views) > 1 else scores.softmax(0)).cpu().numpy()

    def _scores(self, views: Iterable[torch.Tensor], frame_HWC: npt.NDArray[np.uint8]) -> torch.Tensor:
        """(C, H, W) float32 at native size: one view's logits, or the mean probabilities of several."""
        large = (self._to_native(view, frame_HWC) for view in views)
        total = next(large)
        if len(self.options.views) == 1:
            return total
        total = total.softmax(0)
        for logits in large:  # summed one by one: memory does not grow with their number
            total += logits.softmax(0)
        return total / len(self.options.views)

    def _views(self, frame_HWC: npt.NDArray[np.uint8]) -> Iterator[torch.Tensor]:
        """Give the fused logits of each view at its own size, (C, h, w) float32, none mirrored."""
        for scale, mirrored in self.options.views:
            small = resize_frame(frame_HWC, max(1, round(scale * self.spec.model.input_short_px)))
            seen = small[:, ::-1] if mirrored else small
            x_BCHW = torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))[None]
            with self._lock:
                logits = self._run(x_BCHW.to(self.device).float() / 255.0).float()[0]
            yield logits.flip(2) if mirrored else logits

    def _to_native(self, logits_CHW: torch.Tensor, frame_HWC: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Upsample to native size, before any softmax or argmax."""
        return functional.interpolate(
            logits_CHW[None], size=frame_HWC.shape[:2], mode="bilinear", align_corners=False
        )[0]

    def _run(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        options = self.options
        if not options.window_px:
            return self._network(x_BCHW)  # type: ignore[no-any-return]
        return predict_in_windows(
            self._network, x_BCHW[0], options.window_px, options.overlap, options.blend
        )[None]


def best_classes(scores_CHW: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Find the class of the largest score of each pixel, (H, W) uint8; of equal ones the first."""
    # Not argmax, which means the same: over the first axis it takes torch ten times as long on a CPU.
    return scores_CHW.max(0).indices.to(torch.uint8).cpu().numpy()


def _display_name(given: Path, folder: Path) -> str:
    given, folder = given.resolve(), folder.resolve()
    return given.name if given == folder else f"{given.name} ({folder.name})"
