"""A real web server on this machine for tests of downloads, and small data sets for it to serve."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import tomli_w
from PIL import Image

from napari_hogseg.data.registry import dhash_digest
from napari_hogseg.io import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Served:
    """A folder that is being served: its URL, the paths asked for, and the paths whose answer breaks off."""

    url: str
    asked: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments, served: Served, **options) -> None:
        self.served = served
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        self.served.asked.append(self.path)
        if self.path in self.served.broken:
            # Half of what the header promises, then the line is cut.
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 50_000)
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *_arguments) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Serve a folder on a free port until the block ends."""
    served = Served("")
    handler = partial(_Handler, served=served, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def smooth_picture(seed: int) -> np.ndarray:
    """A picture with soft shapes, as an endoscope shows: JPEG changes it little."""
    coarse = np.random.default_rng(seed).integers(30, 220, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC))


def publish_set(folder: Path, num_frames: int = 3) -> Path:
    """Write a site with pictures and masks, and beside it the table that names them; returns the table."""
    source, masks = folder / "site" / "img", folder / "site" / "annot"
    source.mkdir(parents=True)
    masks.mkdir()
    for number in range(num_frames):
        picture = smooth_picture(number)
        Image.fromarray(picture).save(source / f"{number}.png")
        Image.fromarray(picture[..., 0] // 128).save(masks / f"{number}.png")
    names = [f"{number}.png" for number in range(num_frames)]
    table = {
        "name": "pond",
        "title": "Frogs",
        "licence": "CC BY 4.0",
        "reference": "Frog et al.",
        "covers": "all",
        "base_url": "http://127.0.0.1:9/",
        "folders": [
            {
                "path": "images/a",
                "source": "img",
                "files": {name: dhash_digest(np.asarray(Image.open(source / name))) for name in names},
            },
            {
                "path": "masks/a",
                "source": "annot",
                "files": {name: f"sha256:{atomic.sha256_file(masks / name)}" for name in names},
            },
        ],
    }
    path = folder / "pond.toml"
    path.write_text(tomli_w.dumps(table), "utf-8")
    return path
