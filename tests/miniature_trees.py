"""Miniature copies of the public data sets on disk: their folders, names, codings and quirks, tiny pictures.

What a data set's raw values mean is written down here a second time, from the sets' own descriptions and not
from the layout tables, so that a wrong table shows. Every mask of a set is the same pattern: upright stripes
of equal width, one per raw value; where a set has parts, each instrument's stripe holds them from top to
bottom. `expected_mask` gives the class ids.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

IGNORE = 255
HEIGHT = 48
FULL_SIZE = (1080, 1920)
CROP_X, CROP_Y, CROP_WIDTH, CROP_HEIGHT = 320, 28, 1280, 1024

LAYOUT_NAMES = (
    "autolaparo",
    "cadis-task1",
    "cadis-task2",
    "cadis-task3",
    "cholecseg8k",
    "endovis2017-binary",
    "endovis2017-cropped-binary",
    "endovis2017-cropped-parts",
    "endovis2017-cropped-types",
    "endovis2017-parts",
    "endovis2017-types",
    "endovis2018",
    "fetreg2021",
    "kvasir-instrument",
    "sar-rarp50",
    "vocalfolds",
)

# Class id by raw value 0, 1, 2, ... of CaDIS.
CADIS_TASK1 = [0, 1, 2, 3, 4, 5, 6] + [7] * 29
CADIS_TASK2 = [
    *(0, 1, 2, 3, 4, 5, 6),  # anatomy and the rest
    *(7, 7, 8, 7, 9, 10, 11, 12, 13, 14, 15, 13, 16),  # raw 7 to 19
    *(7, 11, 8, 14, 12, IGNORE, IGNORE, 7, 10, IGNORE, IGNORE, IGNORE, 7, 9, IGNORE, IGNORE),  # raw 20 to 35
]
CADIS_TASK3 = [*range(25), *[IGNORE] * 11]

CHOLEC = [(50, 0), (11, 1), (21, 2), (13, 3), (12, 4), (31, 5), (23, 6), (24, 7), (25, 8), (32, 9), (22, 10)]
CHOLEC += [(33, 11), (5, 12), (255, IGNORE), (0, IGNORE)]

ENDOVIS2018 = [
    ((0, 0, 0), 0),
    ((0, 255, 0), 1),
    ((0, 255, 255), 2),
    ((125, 255, 12), 3),
    ((255, 55, 0), 4),
    ((24, 55, 125), 5),
    ((187, 155, 25), 6),
    ((0, 255, 125), 7),
    ((255, 255, 125), 8),
    ((123, 15, 175), 9),
    ((124, 155, 5), 10),
    ((12, 255, 141), 11),
]

#: (raw value, class id) per stripe, from left to right.
STRIPES: dict[str, list[tuple[object, int]]] = {
    "autolaparo": [(20 * class_id, class_id) for class_id in range(10)],
    "cadis-task1": list(enumerate(CADIS_TASK1)),
    "cadis-task2": list(enumerate(CADIS_TASK2)),
    "cadis-task3": list(enumerate(CADIS_TASK3)),
    "cholecseg8k": CHOLEC,
    "endovis2018": ENDOVIS2018,
    "fetreg2021": [(0, 0), (1, 1), (2, 2), (3, 3)],
    "kvasir-instrument": [(0, 0), (255, 1)],
    "sar-rarp50": [(class_id, class_id) for class_id in range(10)],
    "vocalfolds": [(0, IGNORE), (1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)],
}

NUM_INSTRUMENTS = 7
OTHER = 7
SHAFT, WRIST, CLASPERS, PROBE = 1, 2, 3, 4

#: EndoVis 2017: spellings of the instrument folders, by instrument; sequences take them in turn.
FOLDER_NAMES = {
    1: ("Maryland_Bipolar_Forceps_labels", "Left_Bipolar_Forceps", "bipolar forceps"),
    2: ("Left_Prograsp_Forceps_labels", "Prograsp_Forceps", "Prograsp_Forceps_labels"),
    3: ("Large_Needle_Driver_Left_labels", "Large_Needle_Driver_Right_labels", "large_needle_driver"),
    4: ("Right_Vessel_Sealer", "Vessel_Sealer_labels", "VESSEL_SEALER"),
    5: ("Grasping_Retractor_labels", "Right_Grasping_Retractor", "Grasping_Retractor"),
    6: ("Monopolar_Curved_Scissors_labels", "Monopolar_Curved_Scissors", "Left_Monopolar_Curved_Scissors"),
    7: ("Other_labels", "Other", "other_labels"),
}


def stripe_width(num_stripes: int) -> int:
    """Columns of a stripe; wide enough for a crop of 32."""
    return max(2, -(-72 // num_stripes))


def expected_mask(layout_name: str, height: int = 0, width: int = 0) -> np.ndarray:
    """Class ids of every mask in a miniature tree, (H, W) uint8; size 0: the tree's own.

    For EndoVis 2017 the size is that after the crop.
    """
    if layout_name.startswith("endovis2017"):
        pattern = _endovis_pattern(height or 64, width or 80)
        return _endovis_ids(layout_name, *pattern)
    ids = [class_id for _, class_id in STRIPES[layout_name]]
    return _stripes(np.array(ids, np.uint8), height or HEIGHT)


def _stripes(values: np.ndarray, height: int) -> np.ndarray:
    row = np.repeat(values, stripe_width(len(values)), axis=0)
    return np.repeat(row[None], height, axis=0)


def _endovis_pattern(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Instrument (0 to 7) and part (0 to 4) of every pixel."""
    instrument = np.broadcast_to(np.arange(width) * (NUM_INSTRUMENTS + 1) // width, (height, width))
    part = np.broadcast_to((1 + np.arange(height) * 3 // height)[:, None], (height, width)).copy()
    part[instrument == 0] = 0
    part[instrument == OTHER] = PROBE
    return instrument.astype(np.uint8), part.astype(np.uint8)


def _endovis_ids(layout_name: str, instrument: np.ndarray, part: np.ndarray) -> np.ndarray:
    if layout_name.endswith("types"):
        return instrument
    if layout_name.endswith("binary"):
        return ((instrument > 0) & (instrument != OTHER)).astype(np.uint8)
    # The common pre-processing knows no probe.
    return np.where(part == PROBE, 0, part).astype(np.uint8) if "cropped" in layout_name else part


def frame_of(mask: np.ndarray, seed: int) -> np.ndarray:
    """A picture whose grey and hue tell the class, with grain of its own so that no two files are equal."""
    rng = np.random.default_rng(seed)
    ids = mask.astype(np.int64)
    colors = np.stack([40 + ids * 37 % 180, 220 - ids * 53 % 180, 60 + ids * 91 % 150], axis=2)
    if mask.size > 100_000:
        grain = np.zeros(mask.shape, np.int64)
        grain[::16, ::16] = rng.integers(0, 20, grain[::16, ::16].shape)
    else:
        grain = rng.integers(0, 20, mask.shape)
    return np.clip(colors + grain[..., None], 0, 255).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> None:
    """Write grey, RGB or RGBA as the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    stored = cv2.cvtColor(picture, order[picture.shape[2]]) if picture.ndim == 3 else picture
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    if not cv2.imwrite(str(path), stored, options):
        raise OSError(path)


def channels(mask: np.ndarray, number: int) -> np.ndarray:
    """The mask as a picture of 1, 3 or 4 channels that hold the same; the fourth is opaque."""
    if number == 1:
        return mask
    colors = np.repeat(mask[..., None], 3, axis=2)
    return colors if number == 3 else np.dstack([colors, np.full_like(mask, 255)])


class Writer:
    """Writes one tree and remembers its masks."""

    def __init__(self, layout_name: str, root: Path) -> None:
        self.layout_name, self.root = layout_name, root
        self.masks: list[Path] = []
        self.num_frames = 0

    def raw_mask(self) -> np.ndarray:
        """The mask as this set stores it."""
        raw = [value for value, _ in STRIPES[self.layout_name]]
        return _stripes(np.array(raw, np.uint8), HEIGHT)

    def frame(self, path: str, mask: np.ndarray | None = None) -> None:
        """Write a frame that shows a mask, by default the layout's."""
        self.num_frames += 1
        shown = expected_mask(self.layout_name) if mask is None else mask
        save(self.root / path, frame_of(shown, self.num_frames))

    def mask(self, path: str, picture: np.ndarray | None = None) -> None:
        """Write a mask, by default the layout's."""
        save(self.root / path, self.raw_mask() if picture is None else picture)
        self.masks.append(self.root / path)


def write_tree(layout_name: str, root: Path, **quirks: object) -> None:
    """Write a miniature tree.

    Parameters
    ----------
    layout_name : str
        One of `LAYOUT_NAMES`.
    root : Path
        Made if it does not exist.
    quirks
        Of every set: `leftovers` (`._` files, Thumbs.db and a hidden folder; True), and, for the first mask
        written: `missing_mask`, `wrong_size`, `unknown_value`, `damaged_mask` (False). Others are parameters
        of the set's function below.
    """
    root.mkdir(parents=True, exist_ok=True)
    leftovers = quirks.pop("leftovers", True)
    damage = {name: quirks.pop(name, False) for name in DAMAGE}
    writer = Writer(layout_name, root)
    _writer_of(layout_name)(writer, **quirks)
    for name, wanted in damage.items():
        if wanted:
            DAMAGE[name](writer.masks[0])
    if leftovers:
        _litter(root)


def _writer_of(layout_name: str) -> Callable[..., None]:
    family = layout_name.replace("-cropped", "_cropped").rpartition("-")[0] or layout_name
    families = {
        "autolaparo": write_autolaparo,
        "cadis": write_cadis,
        "cholecseg8k": write_cholec,
        "endovis2017": write_endovis2017,
        "endovis2017_cropped": write_endovis2017_cropped,
        "endovis2018": write_endovis2018,
        "fetreg2021": write_fetreg,
        "kvasir": write_kvasir,
        "sar": write_sar,
        "vocalfolds": write_vocalfolds,
    }
    return families[family]


def _litter(root: Path) -> None:
    """What macOS and Windows leave behind on a shared disk."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    for path in files:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7 resource fork")
    for folder in {path.parent for path in files}:
        (folder / "Thumbs.db").write_bytes(b"thumbnails")
        (folder / ".DS_Store").write_bytes(b"finder")
    hidden = root / ".trash" / files[0].relative_to(root)
    hidden.parent.mkdir(parents=True)
    hidden.write_bytes(files[0].read_bytes())


def _wrong_size(path: Path) -> None:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), mask[:-2, :-3])


def _unknown_value(path: Path) -> None:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[:2, :2] = 77 if mask.ndim == 2 else [77] * mask.shape[2]
    cv2.imwrite(str(path), mask)


def _cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "missing_mask": lambda path: path.unlink(),
    "wrong_size": _wrong_size,
    "unknown_value": _unknown_value,
    "damaged_mask": _cut_in_half,
}


def write_cadis(writer: Writer, nested: str = "", videos: Iterable[int] = range(1, 26), num: int = 1) -> None:
    """25 videos; the folder's number is padded, the file's is not. `nested`: segmentation or CaDISv2."""
    base = f"{nested}/" if nested else ""
    for video in videos:
        for number in range(num):
            name = f"Video{video}_frame{number * 120:06d}.png"
            writer.frame(f"{base}Video{video:02d}/Images/{name}")
            writer.mask(f"{base}Video{video:02d}/Labels/{name}")


def write_fetreg(writer: Writer, nested: str = "") -> None:
    """18 videos with gaps in their numbers; a frame each."""
    for video in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 16, 17, 18, 19, 22, 23):
        base = f"{nested}/Video{video:03d}" if nested else f"Video{video:03d}"
        name = f"Video{video:03d}_frame{video * 100:05d}.png"
        writer.frame(f"{base}/images/{name}")
        writer.mask(f"{base}/labels/{name}")


def write_cholec(writer: Writer, num_channels: int = 3) -> None:
    """Two clips of video01 and one of video12, four files per frame."""
    raw = writer.raw_mask()
    for video, first in (("video01", 80), ("video01", 160), ("video12", 15750)):
        for number in (first, first + 1):
            base = f"{video}/{video}_{first:05d}/frame_{number}_endo"
            writer.frame(f"{base}.png")
            save(writer.root / f"{base}_mask.png", channels(raw // 3, 3))
            save(writer.root / f"{base}_color_mask.png", np.dstack([raw, 255 - raw, raw // 2]))
            writer.mask(f"{base}_watershed_mask.png", channels(raw, num_channels))


def write_endovis2018(writer: Writer, nested: str = "miccai_challenge_2018_release_1") -> None:
    """Sequences 1, 2 and 10 of a release; labels are colours."""
    base = f"{nested}/" if nested else ""
    for sequence in (1, 2, 10):
        writer.frame(f"{base}seq_{sequence}/left_frames/frame000.png")
        writer.frame(f"{base}seq_{sequence}/right_frames/frame000.png")
        writer.mask(f"{base}seq_{sequence}/labels/frame000.png")


def write_autolaparo(writer: Writer) -> None:
    """Frames and masks side by side; names tell no video."""
    for number in range(1, 5):
        writer.frame(f"imgs/{number:05d}.jpg")
        writer.mask(f"masks/{number:05d}.png")


def write_kvasir(writer: Writer, num_channels: int = 3, *, blurred: bool = False) -> None:
    """Six frames, four listed in train.txt and two in test.txt. `blurred`: greys at the instrument's edge."""
    raw = writer.raw_mask()
    if blurred:
        edge = stripe_width(2)
        raw[:, edge - 1], raw[:, edge] = 90, 170
    names = [f"ckcu9jucf00083b5ytpqoue7{letter}" for letter in "abcdef"]
    for name in names:
        writer.frame(f"images/{name}.jpg")
        writer.mask(f"masks/{name}.png", channels(raw, num_channels))
    (writer.root / "train.txt").write_text("\n".join(names[:4]) + "\n", "utf-8")
    (writer.root / "test.txt").write_text("\n".join(names[4:]) + "\n", "utf-8")


def write_vocalfolds(writer: Writer, *, published: bool = False) -> None:
    """Sequences 5, 6 and 7 of patient 2. `published`: as the authors' archive has them."""
    for sequence in (5, 6, 7):
        for number in (1, 2):
            if published:
                name = f"patient2/seq{sequence}/{number:04d}_l.png"
                writer.frame(f"vocalfolds-master/img/{name}")
                writer.mask(f"vocalfolds-master/annot/{name}")
            else:
                name = f"patient2_seq{sequence}/{number:04d}_l"
                writer.frame(f"images/{name}.jpg")
                writer.mask(f"masks/{name}.png")


SAR_VIDEOS = (
    "video_1",
    "video_2",
    "video_11_1",
    "video_11_2",
    "video_41",
    "video_42",
    "video_43",
    "video_44",
)
SAR_VIDEOS += ("video_45", "video_46", "video_47", "video_48", "video_49", "video_50")
SAR_RATE = 60


def write_sar(
    writer: Writer, videos: Iterable[str] = SAR_VIDEOS, *, written_out: bool = False, past_end: bool = False
) -> None:
    """Videos of 61 frames at 60 a second, masks at 0 and 60. `past_end`: one mask too many."""
    for video in videos:
        for number in (0, SAR_RATE):
            writer.mask(f"{video}/segmentation/{number:09d}.png")
            if written_out:
                writer.frame(f"{video}/rgb/{number:09d}.png")
        if past_end:
            writer.mask(f"{video}/segmentation/{2 * SAR_RATE:09d}.png")
        if not written_out:
            write_sar_video(writer.root / video / "video_left.avi", zlib.crc32(video.encode()))


def sar_frame(number: int, seed: int = 0) -> np.ndarray:
    """Frame of a miniature SAR-RARP50 video: a bar whose place tells the number crosses the stripes."""
    frame = frame_of(expected_mask("sar-rarp50"), seed)
    frame[-8:, :] = 0
    frame[-8:, number : number + 4] = 255
    return frame


def write_sar_video(path: Path, seed: int) -> None:
    """Write frames 0 to 60 without loss."""
    height, width = expected_mask("sar-rarp50").shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=SAR_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for number in range(SAR_RATE + 1):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(sar_frame(number, seed), format="rgb24")))
        container.mux(stream.encode())


def write_endovis2017(
    writer: Writer,
    nested_gt: str = "",
    training: Iterable[int] = range(1, 9),
    test: Iterable[int] = range(1, 11),
    *,
    full_size: bool = False,
    apart: bool = False,
) -> None:
    """Training and test sequences with all three tasks.

    `nested_gt`: 'gt' or 'ground_truth' in the test sequences. `full_size`: 1920x1080 with the camera's
    picture at (320, 28), else 80x64, already cut. `apart`: frames and ground truth of the test in folders of
    their own.
    """
    inside = _endovis_pattern(CROP_HEIGHT, CROP_WIDTH) if full_size else _endovis_pattern(64, 80)
    instrument, part = (_in_full_frame(picture) if full_size else picture for picture in inside)
    for sequence in training:
        release = "instrument_1_4_training" if sequence <= 4 else "instrument_5_8_training"
        base = f"{release}/instrument_dataset_{sequence}"
        writer.frame(f"{base}/left_frames/frame000.png", instrument)
        writer.frame(f"{base}/right_frames/frame000.png", instrument)
        _write_instrument_folders(writer, f"{base}/ground_truth", sequence, instrument, part)
    for sequence in test:
        release = f"instrument_{_release(sequence)}_testing" if apart else "instrument_2017_test"
        name = f"frame{225 if sequence <= 8 else 0:03d}.png"
        writer.frame(f"{release}/instrument_dataset_{sequence}/left_frames/{name}", instrument)
        truth = (
            f"instrument_2017_test/{'instrument_2017_test/' if apart else ''}instrument_dataset_{sequence}"
        )
        truth = f"{truth}/{nested_gt}" if nested_gt else truth
        coded = np.array([0, 30, 100, 255, 200], np.uint8)[part]
        writer.mask(f"{truth}/BinarySegmentation/{name}", _endovis_ids("binary", instrument, part) * 255)
        writer.mask(f"{truth}/PartsSegmentation/{name}", coded)
        writer.mask(f"{truth}/TypeSegmentation/{name}", instrument)


def _release(sequence: int) -> str:
    return "1_4" if sequence <= 4 else "5_8" if sequence <= 8 else "9_10"


def _in_full_frame(picture: np.ndarray) -> np.ndarray:
    full = np.zeros(FULL_SIZE, np.uint8)
    full[CROP_Y : CROP_Y + CROP_HEIGHT, CROP_X : CROP_X + CROP_WIDTH] = picture
    return full


def _write_instrument_folders(
    writer: Writer, folder: str, sequence: int, instrument: np.ndarray, part: np.ndarray
) -> None:
    """A mask per instrument, some in three channels, with the part values 10, 20, 30 and 40."""
    for number, names in FOLDER_NAMES.items():
        mask = np.where(instrument == number, part * 10, 0).astype(np.uint8)
        path = f"{folder}/{names[sequence % len(names)]}/frame000.png"
        writer.mask(path, channels(mask, 3 if (sequence + number) % 2 else 1))


def write_endovis2017_cropped(
    writer: Writer, training: Iterable[int] = range(1, 9), test: Iterable[int] = range(1, 11)
) -> None:
    """`cropped_train` and `cropped_test` with masks times 255, 85 and 32."""
    instrument, part = _endovis_pattern(64, 80)
    coded = {
        "binary_masks": _endovis_ids("binary", instrument, part) * 255,
        "parts_masks": _endovis_ids("cropped-parts", instrument, part) * 85,
        "instruments_masks": instrument * 32,
    }
    for folder, sequences, number in (("cropped_train", training, 0), ("cropped_test", test, 225)):
        for sequence in sequences:
            base = f"{folder}/instrument_dataset_{sequence}"
            writer.frame(f"{base}/images/frame{number:03d}.jpg", instrument)
            for kind, mask in coded.items():
                writer.mask(f"{base}/{kind}/frame{number:03d}.png", mask)
