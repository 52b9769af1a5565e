"""Rows in one growing file: nothing half-written is believed, whoever writes, whoever is killed, however full the disk."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from training.data import rows
from training.data.rows import Rows

ROOT = Path(__file__).resolve().parents[2]

# Row n of writer w is all n; its key says both.
WRITER = """
import sys
import numpy as np
from pathlib import Path
from training.data.rows import Rows
path, writer, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with Rows(path=path, width=300).appending() as keep:
    for n in range(count):
        keep(bytes([writer]) * 32 + n.to_bytes(4, "little"), np.full(300, n, np.float32))
"""


def _key(writer, n):
    return bytes([writer]) * 32 + n.to_bytes(4, "little")


def _writer(path, writer, count, **options):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(writer), str(count)], cwd=ROOT, **options)


@pytest.fixture
def kept(tmp_path):
    return Rows(path=tmp_path / "deep" / "a.rows", width=5)


@pytest.fixture
def put():
    """(rows, keys) -> row n of each kept, n in all its numbers."""

    def run(kept, numbers):
        with kept.appending() as keep:
            for n in numbers:
                keep(_key(1, n), np.full(kept.width, n, np.float32))

    return run


def _read(kept, numbers, writer=1):
    into = np.full((len(numbers), kept.width), -1, np.float32)
    unknown = kept.read([_key(writer, n) for n in numbers], into)
    for at, n in enumerate(numbers):
        assert (into[at] == (-1 if at in unknown else n)).all()
    return [numbers[at] for at in unknown]


def test_rows_come_back_by_key(kept, put):
    put(kept, [3, 1, 2])
    assert _read(kept, [1, 2, 3, 4]) == [4]
    put(kept, [4])
    assert _read(kept, [4, 1]) == []


def test_a_tail_torn_at_any_byte_is_no_row_and_harms_none_after_it(kept, put):
    put(kept, [0, 1])
    whole = kept.path.read_bytes()
    length = len(whole) // 2
    for cut in range(length):
        kept.path.write_bytes(whole[: length + cut])
        assert _read(kept, [0, 1]) == [1]
        put(kept, [2])
        assert _read(kept, [0, 1, 2]) == [1]


def test_a_changed_byte_is_noticed_and_the_row_kept_anew(kept, put):
    put(kept, [0, 1])
    content = bytearray(kept.path.read_bytes())
    content[rows.KEY + 2] ^= 1
    kept.path.write_bytes(content)
    assert _read(kept, [0, 1]) == [0]
    put(kept, [0])
    assert _read(kept, [0, 1]) == []


def test_two_processes_may_write_at_the_same_time(tmp_path):
    path = tmp_path / "a.rows"
    writers = [_writer(path, writer, 2000) for writer in (1, 2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    kept = Rows(path=path, width=300)
    assert _read(kept, list(range(2000)), 1) == _read(kept, list(range(2000)), 2) == []


def test_a_killed_writer_leaves_whole_rows_for_the_next(tmp_path):
    path = tmp_path / "a.rows"
    for _ in range(3):
        writer = _writer(path, 1, 10**7)
        size = path.stat().st_size if path.exists() else 0
        until = time.monotonic() + 600
        while (path.stat().st_size if path.exists() else 0) == size and time.monotonic() < until:
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait(60)
    assert _writer(path, 2, 10).wait(60) == 0
    kept = Rows(path=path, width=300)
    assert _read(kept, list(range(64)), 1) == []
    assert _read(kept, list(range(10)), 2) == []


@pytest.mark.filterwarnings("ignore:os.fork")  # JAX's threads are not touched between fork and exec
def test_a_disk_that_fills_costs_rows_and_nothing_else(tmp_path):
    """A limit of the file's size ends a write in the middle, as a full disk does."""
    import resource

    path = tmp_path / "a.rows"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    assert _writer(path, 1, 100, preexec_fn=limit).wait(60) == 0
    kept = Rows(path=path, width=300)
    assert _read(kept, list(range(100))) == list(range(10_000 // kept.record.itemsize, 100))


def test_a_folder_that_cannot_be_made_is_only_slow(tmp_path, put):
    (tmp_path / "file").write_text("in the way")
    kept = Rows(path=tmp_path / "file" / "a.rows", width=5)
    put(kept, [1])
    assert _read(kept, [1]) == [1]


def test_a_stopped_writer_stops_nobody_else(kept, put, monkeypatch):
    put(kept, [1])
    monkeypatch.setattr(rows, "LOCK_S", 0.02)
    with kept.path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        put(kept, [2])
        assert _read(kept, [1, 2]) == [2]
    put(kept, [2])
    assert _read(kept, [1, 2]) == []


def test_rows_are_kept_when_the_work_breaks_off(kept, put):
    def numbers():
        yield 7
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(kept, numbers())
    assert _read(kept, [7]) == []


def test_a_file_of_another_width_gives_no_rows(kept, put):
    put(kept, range(9))
    assert _read(Rows(path=kept.path, width=7), [0, 1]) == [0, 1]
    os.truncate(kept.path, 0)
    assert _read(kept, [0]) == [0]
