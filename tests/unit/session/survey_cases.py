"""A clip of noise, masks for half of it, and a model that reads class ids off the frames: for the survey."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from napari_hogseg.data.scheme import LabelScheme
from napari_hogseg.inference.residual import FrameReading, HogResidual
from napari_hogseg.io.errors import InputError
from napari_hogseg.session.annotations import AnnotationStore, SessionIdentity
from napari_hogseg.session.survey import Survey, SurveyModel

SCHEME = LabelScheme(
    name="eye", classes=("pupil", "iris", "tool"), colors=((0, 0, 255), (0, 255, 0), (255, 0, 0))
)
NUM_FRAMES, HEIGHT, WIDTH = 12, 16, 20
DAMAGED = 7


def pixels(frame_index):
    return np.random.default_rng(frame_index).integers(0, 3, (HEIGHT, WIDTH, 3)).astype(np.uint8)


class Frames:
    """Frames by number, and which were read."""

    def __init__(self):
        self.read, self.closed = [], False

    def frame(self, frame_index):
        self.read.append(frame_index)
        if frame_index == DAMAGED:
            raise InputError("damaged")
        return pixels(frame_index)

    def close(self):
        self.closed = True


def truth(frame_index):
    """Every other frame has a mask: the truth is what the model says but for a strip of 4 rows."""
    if frame_index % 2:
        return None
    mask = pixels(frame_index)[..., 0].copy()
    mask[:4] = frame_index % 3
    return mask


def read(frame_HWC):
    """The first channel is the prediction, the others are the rest."""
    residual = HogResidual(float(frame_HWC[..., 1].mean()), (), ())
    return FrameReading(frame_HWC[..., 0].copy(), float(frame_HWC[..., 2].mean()) / 2, residual)


def make_store(folder, mask=truth):
    names = tuple(f"frame_{i:06d}" for i in range(NUM_FRAMES))
    identity = SessionIdentity("clip.mp4", names, HEIGHT, WIDTH, SCHEME)
    return AnnotationStore(folder, identity, mask, settle_s=0.02)


def make_survey(store, frames=None, digest="a" * 64, blobs=None, model=read):
    frames = frames or Frames()
    survey = Survey(store, lambda: frames, SurveyModel(digest, SCHEME.classes, model), blobs)
    survey.load()
    return survey


def finish(survey, playhead=0):
    """Step to the end; returns the frames in the order of the steps."""
    steps = []
    while (step := survey.step(playhead)) is not None:
        steps.append(step)
    return steps


def slow(frame_HWC):
    time.sleep(0.05)
    return read(frame_HWC)


if __name__ == "__main__":  # a survey that somebody kills
    running = make_survey(make_store(Path(sys.argv[1])), model=slow)
    while running.step(0) is not None:
        print(running.num_done, flush=True)  # noqa: T201
