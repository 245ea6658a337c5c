"""Masks out to other tools' formats and in again: a module a format, and `registry` that lists them.

Where masks come from and go to in a review is `session.exchange`'s part.
"""

from napari_hogseg.data.exchange.contract import AnnotatedFrame, ExchangeClip, Format
from napari_hogseg.data.exchange.registry import FORMATS, find_format
from napari_hogseg.data.exchange.writing import check_target, export_frames

__all__ = [
    "FORMATS",
    "AnnotatedFrame",
    "ExchangeClip",
    "Format",
    "check_target",
    "export_frames",
    "find_format",
]
