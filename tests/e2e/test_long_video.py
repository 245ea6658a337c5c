"""A video of an hour at 1080p opens in seconds, shows the right frames, and is scrubbed at bounded memory.

Measured in a process of its own, so that nothing else counts. The figures of docs/performance.md come from
``python -m benchmarks.long_video``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).parents[2]
MEASURE = """
import json, sys
from pathlib import Path
from benchmarks.long_video import measure, write_long
path = Path(sys.argv[1])
write_long(path, 60)
found = [measure(path, num_random=12, num_steps=120) for _ in range(2)]
print(json.dumps([[f.num_frames, f.num_wrong, f.open_s, f.before_mb, f.peak_mb] for f in found]))
"""
#: 810 to 825 were measured, 256 MiB of it the cache's; it does not grow with the clip.
MAX_GROWTH_MB = 1_100
#: On two busy cores; 0.6 s on idle ones.
MAX_OPEN_S = 10.0


@pytest.mark.slow
def test_an_hour_of_1080p(tmp_path):
    pytest.importorskip("psutil")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "long.mp4")]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    rounds = json.loads(done.stdout.splitlines()[-1])
    for num_frames, num_wrong, open_s, _, _ in rounds:
        assert (num_frames, num_wrong) == (90_000, 0)
        assert open_s < MAX_OPEN_S
    before_mb = rounds[0][3]
    peaks = [peak_mb - before_mb for *_, peak_mb in rounds]
    assert max(peaks) < MAX_GROWTH_MB
    assert peaks[1] < peaks[0] + 250  # a second time needs no more
