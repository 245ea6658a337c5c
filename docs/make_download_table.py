"""Write the download table of vocalfolds: `python docs/make_download_table.py FOLDER [TABLE.toml]`.

FOLDER is a clone of the authors' repository, or a copy with `images/` and `masks/`. Masks, and pictures that
are the authors' own PNG, are recorded by SHA-256; pictures that are a re-encoded JPEG copy by difference
hash.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tomli_w

from napari_hogseg.data.layouts import open_dataset
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
    """Compose the table of the pairs below `root`."""
    samples = [sample for sample in open_dataset(root, "vocalfolds").samples if sample.mask_path]
    groups = sorted({sample.group for sample in samples})
    files = {kind: {group: dict[str, str]() for group in groups} for kind in SOURCES}
    for sample in samples:
        for kind, path in (("images", sample.image_path), ("masks", sample.mask_path)):
            if path is not None:
                files[kind][sample.group][f"{path.stem}.png"] = digest(path)
    folders = [folder_table(kind, group, files[kind][group]) for kind in SOURCES for group in groups]
    covers = f"{len(samples)} of 536 frames: {', '.join(groups)}"
    return tomli_w.dumps({**HEAD, "covers": covers, "folders": folders})


def folder_table(kind: str, group: str, files: dict[str, str]) -> dict[str, Any]:
    """Digests of one folder's files, and where the authors' repository has them."""
    patient, _, sequence = group.partition("_")
    commit = SECOND_COMMIT if sequence in SECOND_SEQUENCES else FIRST_COMMIT
    return {
        "path": f"{kind}/{group}",
        "source": f"{commit}/{SOURCES[kind]}/{patient}/{sequence}",
        "files": files,
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
