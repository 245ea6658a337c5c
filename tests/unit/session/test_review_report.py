"""The review report: its numbers against sums made by hand, its page against a parser, its promises."""

from __future__ import annotations

import base64
import io
import math
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from report_cases import MODEL, Source
from survey_cases import DAMAGED, HEIGHT, NUM_FRAMES, SCHEME, WIDTH, Frames, finish, make_store, make_survey

from napari_hogseg.io.errors import InputError
from napari_hogseg.session.ledger import Proposal
from napari_hogseg.session.report_curves import Plot, ticks
from napari_hogseg.session.report_facts import add_up, pick_worst, score, spacing
from napari_hogseg.session.report_page import _confusion
from napari_hogseg.session.review_report import CancelledError, Progress, write_report

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page: tags that are open at the end, pictures, what is loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.outside, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(found)
        self.outside += [v for k, v in attributes if k in ("src", "href") and not v.startswith("data:")]
        assert tag not in ("script", "link", "iframe")

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def case(tmp_path):
    """A clip surveyed to the end, with a session in which two people worked."""
    store = make_store(tmp_path / "session")
    store.records.author = "Ada & Bob"
    store.paint(2, np.s_[:2, :5], 1)
    with store.acting("accept", Proposal(digest=MODEL.digest, name=MODEL.name)):
        store.paint(4, np.s_[6:8, :5], 2)
    assert store.flush()
    store.close()
    survey = make_survey(store)
    finish(survey)
    survey.close()
    return SimpleNamespace(
        store=store, survey=survey, source=Source(tmp_path), out=tmp_path / "out" / "r.html"
    )


def write(case, **others):
    write_report(case.out, case.store, case.source, case.survey.records(), MODEL, **others)
    return case.out.read_text()


def test_scores_are_those_of_all_pixels_together(case):
    found = score(case.survey.records())
    frames = [i for i in range(NUM_FRAMES) if i % 2 == 0]
    truth = np.concatenate([case.store.peek(i).ravel() for i in frames])
    predicted = np.concatenate([MODEL.predict(Frames().frame(i)).ravel() for i in frames])
    expected = [
        ((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in range(3)
    ]
    assert found.num_frames == len(frames)
    assert found.num_corrected == 2
    np.testing.assert_allclose(found.iou, expected)
    assert found.miou == pytest.approx(np.mean(expected))
    per_frame = case.survey.curves["boundary_f"]
    assert found.boundary_f == pytest.approx(np.nanmean(per_frame), rel=1e-6)


def test_nothing_compared_is_no_score(case):
    assert score([r for r in case.survey.records() if not r.has_truth]) is None


def test_the_worst_come_first_and_then_those_without_a_mask(case):
    records = case.survey.records()
    picks = [pick.frame_index for pick in pick_worst(records, 8)]
    miou = case.survey.curves["miou"]
    assert picks[:6] == sorted(range(0, NUM_FRAMES, 2), key=lambda i: miou[i])
    residual = case.survey.curves["hog_residual"]
    odd = [i for i in range(1, NUM_FRAMES, 2) if i != DAMAGED]
    assert picks[6:] == sorted(odd, key=lambda i: -residual[i])[:2]


def test_worst_frames_keep_their_distance(case):
    picks = sorted(pick.frame_index for pick in pick_worst(case.survey.records(), 8, apart=4))
    assert min(np.diff(picks)) >= 4
    assert (spacing(26, 8), spacing(640, 8), spacing(90_000, 8)) == (1, 20, 50)


def test_effort_is_the_ledger_added_up(case):
    entries = case.store.records.ledger.entries
    effort = add_up(entries, SCHEME)
    by_kind = {share.name: share.pixels for share in effort.by_kind}
    assert by_kind == {"paint": entries[0].num_pixels, "accept": entries[1].num_pixels}
    assert [share.name for share in effort.by_author] == ["Ada & Bob"]
    assert {share.name for share in effort.by_model} == {"by hand", f"{MODEL.name} (dddddddddddd)"}
    gains, losses = (sum(row[i] for row in effort.by_class) for i in (1, 2))
    assert gains == losses == sum(by_kind.values()) > 0


def test_an_undo_takes_back_what_it_undoes(case):
    entry = case.store.records.ledger.entries[0]
    back = tuple(c.model_copy(update={"before": c.after, "after": c.before}) for c in entry.changes)
    undo = entry.model_copy(update={"kind": "undo", "changes": back})
    effort = add_up([entry, undo], SCHEME)
    assert effort.by_class == ()
    assert effort.curve.pixels[-1] == 0


def test_the_page_is_whole_and_needs_nothing_else(case):
    text = write(case)
    page = Page(text)
    assert page.open == []
    assert page.outside == []
    assert "@media print" in text
    words = " ".join(page.words)
    for needed in (
        MODEL.name,
        MODEL.digest,
        case.source.name,
        "Ada & Bob",
        f"{score(case.survey.records()).miou:.3f}",
    ):
        assert needed in words
    assert text.count("<svg ") == 5
    ids = re.findall(r'\bid="', text)
    assert ids == []


def test_a_class_without_pixels_has_no_shares():
    page = Page(_confusion(("tool", "void"), SimpleNamespace(confusion=np.array([[3, 1], [0, 0]]))))
    assert [word for word in page.words if word.strip()][-6:] == ["tool", "75.0", "25.0", "void", "-", "-"]


def test_each_picture_says_what_it_is_and_shows_it(case):
    page = Page(write(case, num_worst=3))
    titles = [image["alt"].split(",")[0] for image in page.images]
    worst = [pick.frame_index for pick in pick_worst(case.survey.records(), 3)]
    assert titles == [
        f"{title} of frame {i}" for i in worst for title in ("Frame", "Mask", "Prediction", "Boundary errors")
    ]
    for image in page.images:
        data = base64.b64decode(image["src"].split(",")[1])
        assert (
            Image.open(io.BytesIO(data)).size
            == (int(image["width"]), int(image["height"]))
            == (WIDTH, HEIGHT)
        )


def test_without_model_or_survey_there_is_still_a_report(case):
    write_report(case.out, case.store, case.source, [], None)
    words = " ".join(Page(case.out.read_text()).words)
    assert "nothing to score" in words
    assert "None was loaded" in words
    assert "frames changed" in words


def test_cancelled_leaves_the_earlier_file(case):
    case.out.parent.mkdir()
    case.out.write_text("earlier")
    with pytest.raises(CancelledError):
        write(case, progress=Progress(is_cancelled=lambda: True))
    assert [path.name for path in case.out.parent.iterdir()] == ["r.html"]
    assert case.out.read_text() == "earlier"


def test_progress_ends_at_the_end(case):
    told = []
    write(case, num_worst=4, progress=Progress(tell=lambda done, of: told.append((done, of))))
    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)


def test_nothing_is_written_beside_the_clips_pictures(case):
    case.out = case.source.path / "r.html"
    with pytest.raises(InputError, match="data set"):
        write(case)
    assert not case.source.path.exists()


def test_a_dense_curve_keeps_its_peaks():
    values = np.zeros(90_000)
    values[41_234] = 1.0
    svg = Plot("peak", np.arange(90_000.0), values, "frame").to_svg()
    points = [tuple(map(float, p.split(","))) for p in re.search(r'points="([^"]*)"', svg)[1].split()]
    assert len(points) < 2_000
    assert min(y for _, y in points) == 10.0
    assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_gaps_stay_gaps():
    y = np.array([1.0, 2.0, math.nan, 3.0, math.nan, 4.0, 5.0])
    svg = Plot("gaps", np.arange(7.0), y, "frame").to_svg()
    assert (svg.count("<polyline"), svg.count("<circle")) == (2, 1)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, [0, 0.5, 1]), (0, 25, [0, 20]), (3, 3.1, [3, 3.05, 3.1])]
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high, 3) == pytest.approx(expected)
