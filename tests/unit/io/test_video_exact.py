"""Frame i is the i-th picture that was encoded: codecs, containers, reordering, uneven times, any order."""

from __future__ import annotations

import gc

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_hogseg.io.video import Video

from .made_videos import HEIGHT, WIDTH, number_in, uneven_times_ms, write_video

OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:bframes=3:b-pyramid=normal:scenecut=0"}
KINDS = {
    "closed.mp4": ("libx264", {}),
    "open.mp4": ("libx264", {"options": OPEN_GOP}),
    "one_gop.mp4": ("libx264", {"gop": 250}),
    "intra_refresh.mp4": ("libx264", {"options": {"x264-params": "intra-refresh=1:keyint=12"}}),
    "uneven.mkv": ("libx264", {"times_ms": uneven_times_ms(60)}),
    "uneven.mp4": ("libx264", {"times_ms": uneven_times_ms(60)}),
    "transport.ts": ("libx264", {"options": OPEN_GOP}),
    "no_times.h264": ("libx264", {}),
    "jumbled_times.avi": (
        "libx264",
        {},
    ),  # AVI has no presentation times: those of reordered H.264 are guesses
    "asp.avi": ("mpeg4", {}),
    "program.mpg": ("mpeg2video", {}),  # its times differ after a seek
    "mpeg2.mkv": ("mpeg2video", {}),
    "stills.avi": ("mjpeg", {"b_frames": 0, "pixel_format": "yuvj420p"}),
}


@pytest.fixture(scope="module", params=sorted(KINDS))
def made(request, tmp_path_factory):
    codec, settings_ = KINDS[request.param]
    return write_video(tmp_path_factory.mktemp("made") / request.param, codec, **settings_)


def test_every_frame_in_order_without_seeking(made) -> None:
    video = Video(made)
    assert (video.num_frames, video.height, video.width) == (60, HEIGHT, WIDTH)
    assert not video.is_cut
    assert [number_in(video.frame(i)) for i in range(60)] == list(range(60))
    assert video.num_seeks == 0
    video.close()


@pytest.mark.parametrize("cache_bytes", [0, 3 * HEIGHT * WIDTH * 8])
def test_every_frame_at_random(made, cache_bytes) -> None:
    video = Video(made, cache_bytes)
    order = np.random.default_rng(7).permutation(60)
    assert [number_in(video.frame(i)) for i in order] == order.tolist()
    video.close()


@given(st.lists(st.integers(0, 59), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_an_open_gop(open_gop_video, order) -> None:
    assert [number_in(open_gop_video.frame(i)) for i in order] == order


@pytest.fixture(scope="module")
def open_gop_video(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("open") / "open.mp4", options=OPEN_GOP)
    video = Video(path, cache_bytes=0)
    yield video
    video.close()


def test_same_pixels_whichever_way_a_frame_is_reached(tmp_path) -> None:
    video = Video(write_video(tmp_path / "open.mp4", options=OPEN_GOP), cache_bytes=0)
    in_order = [video.frame(i).copy() for i in range(60)]
    for i in reversed(range(60)):
        np.testing.assert_array_equal(video.frame(i), in_order[i])
    video.close()


def test_times_in_seconds_from_the_first_frame(tmp_path) -> None:
    times_ms = uneven_times_ms(40)
    video = Video(write_video(tmp_path / "uneven.mkv", num_frames=40, times_ms=times_ms))
    np.testing.assert_allclose(video.pts_s, times_ms / 1000, atol=1e-9)
    video.close()


def test_nominal_times_where_the_file_has_none(tmp_path) -> None:
    video = Video(write_video(tmp_path / "bare.h264", num_frames=30))
    np.testing.assert_allclose(video.pts_s, np.arange(30) / 25, atol=1e-9)
    video.close()


def test_frame_names_and_identity(tmp_path) -> None:
    path = write_video(tmp_path / "clip.mp4", num_frames=13)
    video = Video(path)
    assert video.frame_names[12] == "frame_000012"
    assert (video.name, video.path, video.claimed_frames) == ("clip", path, 13)
    video.close()


@pytest.mark.parametrize(("turn", "num_quarters"), [(90, 1), (180, 2), (-90, 3)])
def test_display_rotation_is_applied(tmp_path, turn, num_quarters) -> None:
    plain = write_video(tmp_path / "plain.mp4", num_frames=3)
    turned = tmp_path / "turned.mp4"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(turn)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    straight, video = Video(plain), Video(turned)
    np.testing.assert_array_equal(video.frame(2), np.rot90(straight.frame(2), num_quarters))
    assert (video.height, video.width) == video.frame(0).shape[:2]
    straight.close()
    video.close()


def test_a_frame_that_is_done_with_is_freed_at_once(tmp_path) -> None:
    """Decoded pictures caught in a reference cycle wait for the cycle collector, hundreds of them."""
    video = Video(write_video(tmp_path / "freed.mp4", num_frames=60), cache_bytes=1)
    gc.collect()
    gc.disable()
    try:
        for number in [*range(60), *range(40, 0, -1)]:
            video.frame(number)
        assert gc.collect() < 10  # objects that only the cycle collector could free
    finally:
        gc.enable()


def test_near_frames_are_reached_without_a_seek(tmp_path) -> None:
    video = Video(write_video(tmp_path / "long_gop.mp4", gop=250))
    for i in (0, 20, 21, 59):
        assert number_in(video.frame(i)) == i
    assert video.num_seeks == 0  # one group of pictures: decoding on is the only way
    assert number_in(video.frame(30)) == 30  # kept when it was passed
    assert video.num_seeks == 0
    video.close()


@pytest.mark.parametrize("frame_index", [-1, 60, 10**9])
def test_no_such_number(tmp_path, frame_index) -> None:
    video = Video(write_video(tmp_path / "clip.mp4"))
    with pytest.raises(IndexError, match="of 60"):
        video.frame(frame_index)
    video.close()
