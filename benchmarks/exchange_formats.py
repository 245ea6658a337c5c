"""Every exchange format on a data set's masks: exact or not, milliseconds and bytes a frame, and YOLO's rim.

`python -m benchmarks.exchange_formats DATA_SET`; the table of docs/exchange.md was made with
vocalfolds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from napari_hogseg.data.exchange import FORMATS, AnnotatedFrame, ExchangeClip, export_frames
from napari_hogseg.data.layouts import open_dataset
from napari_hogseg.data.scheme import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]

MAX_FRAMES = 100


def measure(name: str, masks: list[Mask], clip: ExchangeClip, folder: Path) -> str:
    """Export and read again; gives a row of the table."""
    form, frames = FORMATS[name], (AnnotatedFrame(index, mask) for index, mask in enumerate(masks))
    begin_s = time.perf_counter()
    export_frames(frames, folder, form, clip)
    written_s = time.perf_counter()
    found = {frame.frame_index: frame.mask for frame in form.read(folder, clip, IGNORE)}
    read_s = time.perf_counter()
    same = all(np.array_equal(found[index], mask) for index, mask in enumerate(masks))
    num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    write_ms, read_ms = (1e3 * span / len(masks) for span in (written_s - begin_s, read_s - written_s))
    size_kb = num_bytes / len(masks) / 1e3
    return f"| {name} | {'yes' if same else 'NO'} | {write_ms:.1f} | {read_ms:.1f} | {size_kb:.1f} |"


def outlined_iou(masks: list[Mask], clip: ExchangeClip, folder: Path) -> dict[str, float]:
    """IoU by class where polygons are filled with their outline, as by `cv2.fillPoly` on rounded points."""
    shape = (clip.scheme.num_classes, clip.height, clip.width)
    both, either = np.zeros(shape[0]), np.zeros(shape[0])
    for index, mask in enumerate(masks):
        filled = np.zeros(shape, np.uint8)
        for line in (folder / "labels" / "train" / f"{clip.frame_names[index]}.txt").read_text().splitlines():
            words = line.split()
            points = np.array(words[1:], float).reshape(-1, 2) * (clip.width, clip.height)
            cv2.fillPoly(filled[int(words[0])], [points.round().astype(np.int32)], 1)
        for class_id in range(shape[0]):
            theirs, ours = filled[class_id] > 0, mask == class_id
            both[class_id] += (theirs & ours).sum()
            either[class_id] += (theirs | ours).sum()
    names = clip.scheme.classes
    return {names[i]: float(both[i] / either[i]) for i in range(shape[0]) if either[i]}


def main(root: Path) -> None:
    """Print the table."""
    dataset = open_dataset(root)
    samples = [sample for sample in dataset.samples if sample.mask_path is not None][:MAX_FRAMES]
    masks = [dataset.read_mask(sample) for sample in samples]
    names = tuple(f"frame_{index:06d}" for index in range(len(masks)))
    height, width = masks[0].shape
    clip = ExchangeClip("benchmark", names, height, width, dataset.scheme)
    print(f"{len(masks)} frames of {clip.width}x{clip.height}")
    print("| format | exact | write, ms | read, ms | kB |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            print(measure(name, masks, clip, Path(folder) / name))
        for class_name, iou in outlined_iou(masks, clip, Path(folder) / "yolo").items():
            print(f"YOLO filled with outlines, IoU of {class_name}: {iou:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
