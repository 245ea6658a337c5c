"""Damaged, cut and foreign files: what can be read is right, the rest a clear error; never a wrong frame."""

from __future__ import annotations

import wave

import av
import numpy as np
import pytest

from napari_hogseg.io.errors import InputError
from napari_hogseg.io.video import Video, open_frames

from .made_videos import number_in, write_video

OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}


def packets_of(path) -> list[tuple[int, int]]:
    """Position and size of each packet in the file."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def readable(video: Video, numbers) -> dict[int, np.ndarray]:
    found, messages = {}, {}
    for i in numbers:
        try:
            found[int(i)] = video.frame(int(i))
        except InputError as error:
            messages[int(i)] = str(error)
    assert all(f"Frame {i} " in text and str(video.path) in text for i, text in messages.items())
    return found


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("b.mkv", "mpeg2video")],
)
@pytest.mark.parametrize("broken_packet", [0, 1, 15, 24, 31])
def test_no_wrong_frame_around_a_broken_packet(tmp_path, name, codec, broken_packet) -> None:
    path = write_video(tmp_path / name, codec)
    sound = Video(path)
    right = [sound.frame(i) for i in range(60)]
    sound.close()
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = bytes([packet for packet in container.demux(video=0) if packet.size][broken_packet])
    num_zeros = min(len(packet) // 3, 40)
    end = data.index(packet) + len(packet) - 2  # a picture's data; what precedes it may be a comment
    data[end - num_zeros : end] = bytes(num_zeros)
    path.write_bytes(data)
    video = Video(path, cache_bytes=0)
    in_order = readable(video, range(video.num_frames))
    assert 36 <= len(in_order) < 60
    at_random = readable(video, np.random.default_rng(1).permutation(video.num_frames))
    assert set(at_random) == set(in_order)
    for i, frame in in_order.items():
        np.testing.assert_array_equal(frame, right[i])
        np.testing.assert_array_equal(at_random[i], right[i])
    video.close()


def test_a_damaged_frame_is_sought_from_the_start_only_once(tmp_path) -> None:
    path = write_video(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    position, size = packets_of(path)[26]
    data[position + size // 2 : position + size] = bytes(size - size // 2)
    path.write_bytes(data)
    video = Video(path, cache_bytes=0)
    bad = sorted(set(range(60)) - set(readable(video, range(60))))
    assert bad
    seeks = video.num_seeks
    assert not readable(video, bad)
    assert video.num_seeks == seeks
    video.close()


@pytest.mark.parametrize("last_packet", [14, 20, 33, 46, 58])
@pytest.mark.parametrize("part", [0.0, 0.5])
@pytest.mark.parametrize(
    ("name", "codec", "options", "shows_cut"),
    [
        ("faststart.mp4", "libx264", OPEN_GOP, True),
        ("open_gop.mkv", "libx264", OPEN_GOP, True),
        ("asp.avi", "mpeg4", {}, True),
        ("transport.ts", "libx264", OPEN_GOP, False),
    ],
)
def test_a_cut_file_gives_right_numbers(tmp_path, name, codec, options, shows_cut, part, last_packet) -> None:
    whole = write_video(tmp_path / f"whole_{name}", codec, options=options)
    if name == "faststart.mp4":
        whole = _with_index_first(whole)
    position, size = packets_of(whole)[last_packet]
    path = tmp_path / name
    path.write_bytes(whole.read_bytes()[: position + int(size * part)])
    video = Video(path)
    found = readable(video, range(video.num_frames))
    assert {i: number_in(frame) for i, frame in found.items()} == {i: i for i in found}
    assert last_packet - 5 <= len(found) <= last_packet
    if shows_cut:
        assert video.is_cut
        assert len(found) == video.num_frames  # nothing is promised that cannot be read
    video.close()


def _with_index_first(path):
    """Put the table of packets in front, as a camera's or a web player's export has it."""
    moved = path.with_name("moved.mp4")
    with av.open(str(path)) as source, av.open(str(moved), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return moved


def test_a_recording_joined_in_the_middle_begins_at_its_first_whole_picture(tmp_path) -> None:
    whole = write_video(tmp_path / "whole.ts", options=OPEN_GOP)
    path = tmp_path / "joined.ts"
    data = whole.read_bytes()
    head = data[: 188 * 3]  # the stream's tables; without them FFmpeg cannot tell the codec
    path.write_bytes(head + data[188 * (len(data) // 188 // 3) :])
    video = Video(path)
    numbers = [number_in(frame) for frame in readable(video, range(video.num_frames)).values()]
    assert len(numbers) == video.num_frames > 20
    assert numbers == list(range(numbers[0], 60))
    video.close()


def test_a_size_that_changes_is_told(tmp_path) -> None:
    first = write_video(tmp_path / "first.h264", num_frames=24)
    with av.open(str(tmp_path / "second.h264"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(24):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(stream.encode())
    joined = tmp_path / "joined.h264"
    joined.write_bytes(first.read_bytes() + (tmp_path / "second.h264").read_bytes())
    video = Video(joined)
    assert number_in(video.frame(20)) == 20
    with pytest.raises(InputError, match=r"Frame 30 is 64x64, not 128x96.*Split the video"):
        video.frame(30)
    video.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\0" * 4096, "cannot be opened"),
        (b"this is no video at all " * 40, "cannot be opened"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", "cannot be opened"),
    ],
)
def test_not_a_video(tmp_path, content, message) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_frames(path)
    assert caught.value.where == path
    assert caught.value.remedy


def test_a_recording_whose_index_was_never_written(tmp_path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cannot be opened.*repaired"):
        open_frames(path)


def test_missing_file_and_sound_only(tmp_path) -> None:
    with pytest.raises(InputError, match="No such file"):
        open_frames(tmp_path / "gone.mp4")
    with wave.open(str(tmp_path / "sound.avi"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    with pytest.raises(InputError, match=r"no video|cannot be opened"):
        open_frames(tmp_path / "sound.avi")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:2.4,\nclip.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile clip.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_a_list_that_names_other_files_is_refused(tmp_path, text) -> None:
    write_video(tmp_path / "clip.mp4")
    (tmp_path / "list.m3u8").write_text(text)
    with pytest.raises(InputError, match="cannot be opened"):
        open_frames(tmp_path / "list.m3u8")


def test_a_closed_video_says_so(tmp_path) -> None:
    video = Video(write_video(tmp_path / "clip.mp4"))
    video.close()
    video.close()
    with pytest.raises(InputError, match="was closed"):
        video.frame(3)


def test_a_disk_that_goes_and_comes_back(tmp_path) -> None:
    path = write_video(tmp_path / "clip.h264")  # without times, going back means opening again
    video = Video(path, cache_bytes=0)
    assert number_in(video.frame(40)) == 40
    path.rename(tmp_path / "away.h264")
    with pytest.raises(InputError, match="No such file"):
        video.frame(3)
    assert number_in(video.frame(41)) == 41
    (tmp_path / "away.h264").rename(path)
    assert number_in(video.frame(3)) == 3
    video.close()
