"""Error blobs survive being written and read, and are those of the finder."""

from __future__ import annotations

import json

import numpy as np

from napari_hogseg.metrics.error_blobs import find_error_blobs
from napari_hogseg.session.blob_codec import BOUNDARY_PX, MIN_AREA_PX, ErrorBlobCodec


def case():
    truth = np.zeros((60, 80), np.uint8)
    truth[20:40, 20:50] = 1
    truth[:5] = 255
    prediction = np.roll(truth, 8, axis=1)
    prediction[truth == 255] = 0
    prediction[50:56, 60:70] = 2
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return frame, prediction, truth


def test_blobs_are_the_finders_and_survive_json():
    frame, prediction, truth = case()
    codec = ErrorBlobCodec()
    found = tuple(codec.find(frame, prediction, truth))
    assert len(found) == 3
    assert MIN_AREA_PX <= 20  # what the list shows at first; smaller ones are kept for who wants them
    assert found == find_error_blobs(
        prediction, truth, frame, num_classes=3, boundary_px=BOUNDARY_PX, min_area_px=MIN_AREA_PX
    )
    tables = json.loads(json.dumps([codec.to_table(blob) for blob in found], allow_nan=False))
    assert tuple(codec.from_table(table) for table in tables) == found


def test_a_blob_without_an_outline_survives():
    truth, frame = np.zeros((20, 20), np.uint8), np.zeros((20, 20, 3), np.uint8)
    codec = ErrorBlobCodec()
    (blob,) = codec.find(frame, np.ones_like(truth), truth)
    assert np.isnan(blob.gradient)
    table = json.loads(json.dumps(codec.to_table(blob), allow_nan=False))
    assert np.isnan(codec.from_table(table).gradient)
