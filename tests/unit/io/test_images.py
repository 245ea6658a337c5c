"""Frames and masks on disk, against files made by other programs (OpenCV, tifffile) or byte by byte."""

from __future__ import annotations

import io
import random
import struct
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path, PurePath

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image

from napari_hogseg.io import images
from napari_hogseg.io.errors import InputError

COLORS = [(0, 0, 0), (230, 159, 0), (86, 180, 233)]
small_arrays = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


def png(bits: int, color_type: int, rows: list[bytes], width: int) -> bytes:
    """A PNG by the specification: Pillow cannot write the unusual kinds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_frames_are_rgb(tmp_path: Path, suffix: str) -> None:
    path, frame = tmp_path / f"frame{suffix}", noise(5, 7)
    cv2.imwrite(str(path), frame[..., ::-1])
    np.testing.assert_array_equal(images.read_image(path), frame)
    assert images.image_size(path) == (5, 7)


def test_a_jpeg_frame_is_what_opencv_decodes(tmp_path: Path) -> None:
    path = tmp_path / "frame.jpg"
    cv2.imwrite(str(path), cv2.GaussianBlur(noise(32, 48), (0, 0), 3), [cv2.IMWRITE_JPEG_QUALITY, 95])
    difference = images.read_image(path).astype(int) - cv2.imread(str(path))[..., ::-1]
    assert np.abs(difference).max() <= 2  # the two may round and upsample chroma apart


def test_grey_becomes_rgb_and_alpha_is_dropped(tmp_path: Path) -> None:
    grey, rgba = noise(4, 6)[..., 0], noise(4, 6, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(images.read_image(tmp_path / "grey.png"), np.dstack([grey] * 3))
    np.testing.assert_array_equal(images.read_image(tmp_path / "rgba.png"), rgba[..., :3])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_exif_rotation_is_applied_to_frames_masks_and_sizes(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    """By the table of the EXIF standard: where row 0 and column 0 of the stored picture are shown."""
    path = tmp_path / f"frame{suffix}"
    stored = np.kron([[0, 0, 250], [0, 90, 0], [0, 0, 180]], np.ones((8, 16))).astype(np.uint8)
    Image.fromarray(stored).save(
        path, exif=oriented(orientation), **({"quality": 100} if suffix == ".jpg" else {})
    )
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored[::-1].T,
        7: stored[::-1, ::-1].T,
        8: stored[:, ::-1].T,
    }[orientation]
    np.testing.assert_allclose(images.read_image(path)[..., 0].astype(int), shown, atol=2)
    assert images.image_size(path) == shown.shape
    if suffix != ".jpg":
        np.testing.assert_array_equal(images.read_mask(path), shown)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_frames_are_refused(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), np.full((4, 5, channels), 1000, np.uint16))
    with pytest.raises(InputError, match="more than 8 bit"):
        images.read_image(path)


@given(mask=hnp.arrays(np.uint8, small_arrays), colored=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_masks_come_back_as_written(tmp_path: Path, mask: np.ndarray, colored: bool) -> None:
    path = tmp_path / "mask.png"
    images.write_mask(path, mask, COLORS if colored else None)
    back = images.read_mask(path)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, mask)


def test_a_mask_shows_in_its_colors_elsewhere(tmp_path: Path) -> None:
    path, mask = tmp_path / "mask.png", np.array([[0, 1], [2, 255]], np.uint8)
    images.write_mask(path, mask, COLORS)
    shown = cv2.imread(str(path))[..., ::-1]
    np.testing.assert_array_equal(shown.reshape(-1, 3), [*COLORS, (0, 0, 0)])


@pytest.mark.parametrize("mask", [np.zeros((2, 2), np.int64), np.zeros((2, 2, 3), np.uint8)])
def test_a_wider_mask_is_not_written(tmp_path: Path, mask: np.ndarray) -> None:
    with pytest.raises(TypeError, match="uint8"):
        images.write_mask(tmp_path / "mask.png", mask)
    assert not list(tmp_path.iterdir())


@given(mask=hnp.arrays(np.uint16, small_arrays))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_sixteen_bit_masks_keep_their_values(tmp_path: Path, mask: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    tifffile.imwrite(tmp_path / "mask.tif", mask, byteorder=">")
    for name in ("mask.png", "mask.tif"):
        back = images.read_mask(tmp_path / name)
        assert back.dtype == np.uint16
        np.testing.assert_array_equal(back, mask)


@pytest.mark.parametrize("channels", [3, 4])
def test_equal_channels_become_one(tmp_path: Path, channels: int) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    stack = np.dstack([mask] * 3 + [np.full_like(mask, 255)] * (channels - 3))
    cv2.imwrite(str(tmp_path / "mask.png"), stack)
    np.testing.assert_array_equal(images.read_mask(tmp_path / "mask.png"), mask)


def test_grey_with_alpha_and_one_bit_masks(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    Image.fromarray(np.dstack([mask, np.full_like(mask, 255)]), mode=None).save(tmp_path / "la.png")
    Image.fromarray(mask.astype(bool)).save(tmp_path / "bits.png")
    for name in ("la.png", "bits.png"):
        np.testing.assert_array_equal(images.read_mask(tmp_path / name), mask)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palette_indices_of_few_bits_stay_indices(tmp_path: Path, bits: int) -> None:
    mask = (np.arange(64).reshape(8, 8) % (1 << bits)).astype(np.uint8)
    picture = Image.fromarray(mask)
    picture.putpalette([(17 * value) % 256 for value in range(3 * (1 << bits))])
    picture.save(tmp_path / "mask.png", bits=bits)
    np.testing.assert_array_equal(images.read_mask(tmp_path / "mask.png"), mask)


def lossy_jpeg(path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path, "JPEG")


def lossy_tiff(path: Path) -> None:
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(path, "TIFF", compression="jpeg")


def colors(path: Path) -> None:
    Image.fromarray(noise(3, 3)).save(path, "PNG")


def deep_colors(path: Path) -> None:
    path.write_bytes(png(16, 2, [struct.pack(">6H", 1, 1, 1, 2, 2, 2)], 2))


def two_bit_grey(path: Path) -> None:
    path.write_bytes(png(2, 0, [bytes([0b00011011])], 4))


def fractions(path: Path) -> None:
    tifffile.imwrite(path, np.array([[0.7, 1.4]], np.float32))


def print_colors(path: Path) -> None:
    Image.new("CMYK", (3, 2), (1, 1, 1, 7)).save(path, "TIFF")


def several_pages(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((3, 4, 5), np.uint8), photometric="minisblack")


def negative(path: Path) -> None:
    tifffile.imwrite(path, np.array([[-1, 3]], np.int32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lossy_jpeg, "JPEG cannot hold class ids"),
        (lossy_tiff, "jpeg TIFF cannot hold class ids"),
        (colors, "colour picture"),
        (deep_colors, "16 bit a channel"),
        (two_bit_grey, "2 or 4 bit"),
        (fractions, "mode F"),
        (print_colors, "mode CMYK"),
        (several_pages, "holds 3 pictures"),
        (negative, "outside 0 to 65535"),
    ],
)
def test_what_holds_no_class_ids_is_refused(tmp_path: Path, make, message: str) -> None:
    path = tmp_path / "mask.png"  # what a file calls itself does not count
    make(path)
    with pytest.raises(InputError, match=message) as raised:
        images.read_mask(path)
    assert raised.value.where == path
    assert raised.value.remedy


READERS = (images.read_image, images.read_mask, images.image_size)


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_picture_is_named(tmp_path: Path, read) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    Image.new("L", (2, 2)).save(tmp_path / "gif.png", "GIF")
    for name in ("folder.png", "empty.png", "text.png", "gif.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def test_a_cut_jpeg_is_refused_not_filled_with_grey(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"truncated.*cut\.jpg"):
        images.read_image(path)


@pytest.mark.parametrize("side_px", [9_500, 20_000, 60_000])  # Pillow: silent or warns, refuses, refuses
@pytest.mark.parametrize("read", READERS)
def test_a_bomb_ends_before_its_pixels_are_decoded(tmp_path: Path, read, side_px: int) -> None:
    path = tmp_path / "bomb.png"
    bomb = bytearray(png(8, 0, [b"\0"], 1))
    bomb[16:24] = struct.pack(">II", side_px, side_px)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    path.write_bytes(bomb)
    with pytest.raises(InputError, match="too large"):
        read(path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_deflate"})],
)
def test_flipped_bytes_end_in_a_picture_or_an_input_error(tmp_path: Path, kind: str, options: dict) -> None:
    path, random_bytes = tmp_path / "flipped", random.Random(kind)
    buffer = io.BytesIO()
    exif = {} if kind == "BMP" else {"exif": oriented(6)}
    Image.fromarray(noise(20, 24)).save(buffer, kind, **exif, **options)
    for _ in range(150):
        data = bytearray(buffer.getvalue())
        for _ in range(random_bytes.choice([1, 3])):
            data[random_bytes.randrange(min(len(data), random_bytes.choice([64, 400, 10**6])))] ^= 255
        path.write_bytes(data)
        for read in READERS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's remarks on broken metadata
                with suppress(InputError):
                    read(path)


def test_reading_in_threads_leaves_the_warning_filters_alone(tmp_path: Path) -> None:
    """napari's workers change them as well: saving and restoring them in turns would lose one."""
    path = tmp_path / "frame.png"
    Image.fromarray(noise(40, 40)).save(path)
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [images.read_image(path) for _ in range(30)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_pictures_are_listed_in_natural_order(tmp_path: Path) -> None:
    wanted = ["a1.png", "a01.png", "A2.JPG", "a10.tif", "b.bmp", "²1.png"]
    for name in (*wanted, ".hidden.png", "._a1.png", "notes.txt", "a3.png.tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    wanted[:2] = sorted(wanted[:2])
    assert [path.name for path in images.list_images(tmp_path)] == wanted


@given(numbers=st.sets(st.integers(0, 10**7), min_size=1, max_size=30))
def test_numbers_are_ordered_by_value(numbers: set[int]) -> None:
    names = [PurePath(f"frame_{number}.png") for number in numbers]
    assert [path.stem for path in sorted(names, key=images._natural_key)] == [
        f"frame_{number}" for number in sorted(numbers)
    ]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        images.list_images(tmp_path / "missing")
