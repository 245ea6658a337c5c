"""`hogseg report` and `hogseg film` on a session folder: files written, or one clear line and none."""

from __future__ import annotations

import re

import av
import imageio.v3 as imageio
import numpy as np

from napari_hogseg.session.report_command import main
from sample_data import model_path
from tests.e2e.test_annotation_commands import digests, review


def test_a_report_with_a_model_surveys_what_is_left(hogseg, toy):
    review(toy / "session", toy / "data" / "images" / "a", (0, np.s_[:4], 1))
    before = digests(toy / "data")
    done = hogseg("report", "session", "--out", "review.html", "--model", model_path(), "--worst", "1")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 frames surveyed" in done.stdout
    page = (toy / "review.html").read_text("utf-8")
    assert len(re.findall('<img[^>]*src="data:image/', page)) >= 1
    assert not re.search('(src|href)="http', page)  # self-contained
    assert list((toy / "session" / "survey").iterdir())  # the window need not measure it again
    assert digests(toy / "data") == before


def test_a_film_shows_the_range(hogseg, toy):
    clip = toy / "data" / "images" / "a"
    review(toy / "session", clip, (0, np.s_[:4], 1))
    done = hogseg("film", "session", "--out", "a.gif", "--first", "0", "--last", "1", "--panel", "frame",
                  "--panel", "mask", "--style", "fill")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 pictures" in done.stdout
    assert imageio.imread(toy / "a.gif", index=None).shape[0] == 2
    assert main(["film", str(toy / "session"), "--out", str(toy / "a.mp4"), "--first", "1"]) == 0
    with av.open(str(toy / "a.mp4")) as film:
        assert len(list(film.decode(video=0))) == 1


def test_bad_input_gets_one_message_and_leaves_no_file(toy, capsys):
    session = toy / "session"
    review(session, toy / "data" / "images" / "a", (0, np.s_[:4], 1))
    for what, folder, name, more, word in (
        ("film", session, "b.mp4", ("--panel", "errors"), "model"),
        ("film", session, "b.mp4", ("--last", "9999"), "9999"),
        ("film", session, "b.avi", (), ".gif"),
        ("report", session, "b.pdf", (), "HTML"),
        ("report", toy / "data", "b.html", (), "session"),
        ("report", session, "b.html", ("--model", str(toy / "data")), "data"),
    ):
        assert main([what, str(folder), "--out", str(toy / name), *more]) == 2
        assert word in capsys.readouterr().err
    assert not list(toy.glob("b.*"))
