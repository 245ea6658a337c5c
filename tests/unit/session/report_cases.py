"""The survey's clip as a source of frames, and its model: for reports and films."""

from __future__ import annotations

import numpy as np
from survey_cases import HEIGHT, NUM_FRAMES, SCHEME, WIDTH, Frames, read

from napari_hogseg.session.review_report import ReportModel

MODEL = ReportModel("net <b>", "d" * 64, SCHEME.classes, lambda frame_HWC: read(frame_HWC).class_ids)


class Source(Frames):
    """The clip of the survey's tests, as a source."""

    def __init__(self, folder):
        super().__init__()
        self.path, self.name = folder / "clip <1>", "clip <1>"
        self.num_frames, self.height, self.width = NUM_FRAMES, HEIGHT, WIDTH
        self.pts_s = np.arange(NUM_FRAMES) / 25
