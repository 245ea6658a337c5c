"""Write the download table of vocalfolds: `python docs/make_download_table.py FOLDER [TABLE.toml]`.

FOLDER holds `images/<group>/` and `masks/<group>/` with the authors' file names. Masks, and pictures that are
the authors' own PNG, are recorded by SHA-256; pictures that are a re-encoded JPEG copy by difference hash.
From a clone of the authors' repository, linked into that tree, the table becomes one of SHA-256 alone.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import tomli_w

from napari_hogseg.data.registry import dhash_digest, parse_table
from napari_hogseg.io import atomic, images

TARGET = Path(__file__).parents[1] / "napari_hogseg" / "data" / "download_tables" / "vocalfolds.toml"

FIRST_COMMIT = "a92c7d9840c419eb71a0fb593256adf69e86b7c3"
SECOND_COMMIT = "697a4d20884ea0303a61456ad40ac76a1c4fe1be"
SECOND_SEQUENCES = ("seq4", "seq5", "seq6")
"""The authors published in two commits; a commit's files never change, a branch's may."""

SOURCES = {"images": "img", "masks": "annot"}
HEAD = {
    "name": "vocalfolds",
    "title": "Laryngeal endoscopic images (Laves et al.)",
    "licence": "CC BY 4.0",
    "reference": "Laves, Bicker, Kahrs, Ortmaier: A dataset of laryngeal endoscopic images with comparative "
    "study on convolution neural network-based semantic segmentation. IJCARS 14, 2019.",
    "base_url": "https://raw.githubusercontent.com/imesluh/vocalfolds/",
}


def table(root: Path) -> str:
    """Compose the table of what lies below `root`."""
    folders = [
        folder_table(kind, folder)
        for kind in SOURCES
        for folder in sorted((root / kind).iterdir())
        if folder.is_dir()
    ]
    groups = sorted({str(folder["path"]).partition("/")[2] for folder in folders})
    num_frames = sum(len(folder["files"]) for folder in folders) // len(SOURCES)
    covers = f"{num_frames} of 536 frames: {', '.join(groups)}"
    return tomli_w.dumps({**HEAD, "covers": covers, "folders": folders})


def folder_table(kind: str, folder: Path) -> dict[str, Any]:
    """Digests of one folder's files, under the names they have in the authors' repository."""
    match = re.fullmatch(r"(patient\d+)_(seq\d+)", folder.name)
    if match is None:
        raise SystemExit(f"{folder}: not patientN_seqM")
    patient, sequence = match.groups()
    commit = SECOND_COMMIT if sequence in SECOND_SEQUENCES else FIRST_COMMIT
    return {
        "path": f"{kind}/{folder.name}",
        "source": f"{commit}/{SOURCES[kind]}/{patient}/{sequence}",
        "files": {f"{path.stem}.png": digest(path) for path in images.list_images(folder)},
    }


def digest(path: Path) -> str:
    """SHA-256 of original bytes; what the picture shows where it was re-encoded."""
    if path.suffix == ".png":
        return f"sha256:{atomic.sha256_file(path)}"
    return dhash_digest(images.read_image(path))


if __name__ == "__main__":
    text = table(Path(sys.argv[1]))
    parse_table(text, TARGET)
    atomic.write_text(Path(sys.argv[2]) if len(sys.argv) > 2 else TARGET, text)
