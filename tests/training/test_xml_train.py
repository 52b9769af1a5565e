"""Training to the end on tiny pages: a bundle that writes them, the same after being killed, and failures that are loud."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bundle import model
from bundle.xml import schema
from bundle.xml.codec import Codec
from training import xml_batches, xml_fit, xml_sure
from training.xml_fit import Look, State
from training.xml_sure import Judged

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--size", "32", "--channels", "8,16,24", "--d-model", "32", "--json", "--seed", "3"]


def command(data, out, *more):
    options = [*SMALL, "--cache", str(out / "cache"), "--out", str(out), "--name", "tiny", *more]
    return [sys.executable, "-m", "imago", "train", "xml", str(data), *options]


@pytest.fixture(scope="module")
def data(pages, tmp_path_factory):
    return pages(tmp_path_factory.mktemp("pages") / "data", 80)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """(what the command printed, what it said on the way)."""
    out = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        command(data, out, "--steps", "260"), cwd=ROOT, capture_output=True, text=True, timeout=600, check=True
    )
    return json.loads(done.stdout), done.stderr


def test_training_ends_with_a_bundle_that_writes_the_pages(trained, data):
    result, _ = trained
    opened = model.open(Path(result["bundle"]), "onnx")
    pictures = sorted(data.glob("*.png"))[:20]
    said = [opened.convert(opened.prepare(path.read_bytes())) for path in pictures]
    truth = [opened.codec.canonical(path.with_suffix(".xml").read_bytes()) for path in pictures]
    right = [opened.codec.canonical(one.xml) == true for one, true in zip(said, truth, strict=True)]
    assert np.mean(right) >= 0.8
    assert result["metrics"]["exact"] >= 0.6


def test_the_bundle_says_what_it_was_made_of(trained):
    result, _ = trained
    manifest = model.open(Path(result["bundle"]), "onnx").manifest
    assert manifest.kind == "xml"
    assert manifest.training.encoder == "own"
    assert manifest.training.pairs == result["pairs"]["train"]
    assert manifest.sure.wrong <= 0.01


def test_progress_says_how_much_time_is_left(trained):
    _, said = trained
    assert "step 130 of 260" in said
    assert " s left" in said


def test_noise_is_answered_validly_and_not_surely(trained):
    opened = model.open(Path(trained[0]["bundle"]), "onnx")
    rng = np.random.default_rng(5)
    noise = [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(20)]
    said = [opened.decoder.decode(pixels) for pixels in noise]
    assert all(opened.codec.valid(one.xml) for one in said)
    sure = opened.manifest.sure
    assert sum(one.score >= sure.score and one.least >= sure.least for one in said) <= 1


BREAKABLE = ["--steps", "60", "--patience", "0", "--collapse", "0"]


def finished(line):
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """The bundle of a run that nobody broke off."""
    done = finished(command(data, tmp_path_factory.mktemp("straight"), *BREAKABLE))
    return Path(json.loads(done.stdout)["bundle"])


def broken_off(line, out):
    """Kills what `line` starts once there is a checkpoint, which is returned."""
    code = "from training import xml_fit; xml_fit.SAVE_S = 0; from imago import cli; import sys; cli(sys.argv[1:])"
    run = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    killed = subprocess.Popen([sys.executable, "-c", code, *line[3:]], **run)
    deadline = time.monotonic() + 600
    while not list(out.rglob("*.npz")) and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    return next(out.rglob("*.npz"))


def test_after_kill_9_the_same_command_goes_on_to_the_same_bundle(data, straight, tmp_path):
    line = command(data, tmp_path, *BREAKABLE)
    checkpoint = broken_off(line, tmp_path)
    with np.load(checkpoint) as saved:
        at = json.loads(str(saved["state"]))["step"]
    again = finished(line)
    assert 0 < at < 60
    assert f"{at + 3 - at % 3} of 60" in again.stderr  # looks are every third step
    assert at < 3 or f"step {at - at % 3} of" not in again.stderr
    assert not checkpoint.exists()
    bundle = Path(json.loads(again.stdout)["bundle"])
    assert (bundle / "model.keras").read_bytes() == (straight / "model.keras").read_bytes()  # to the last bit
    assert bundle.name == straight.name  # and so everything else


def test_a_damaged_checkpoint_starts_anew(data, straight, tmp_path):
    line = command(data, tmp_path, *BREAKABLE)
    checkpoint = broken_off(line, tmp_path)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-30])
    again = finished(line)
    assert "step 3 of 60" in again.stderr  # the first look
    assert not checkpoint.exists()
    assert Path(json.loads(again.stdout)["bundle"]).name == straight.name


def test_a_network_that_always_says_the_same_is_an_error(data, tmp_path):
    done = subprocess.run(
        command(data, tmp_path, "--steps", "20", "--learning-rate", "1e-9", "--collapse", "0.9"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode != 0
    assert "the network collapsed" in done.stderr
    assert not list(tmp_path.glob("tiny-*"))


# ---- pieces ----------------------------------------------------------------------------------


def test_the_rate_warms_up_and_falls_to_zero():
    class Run:
        steps, learning_rate = 100, 1.0

    rates = [xml_fit.rate(Run, State(step=step, end=100)) for step in range(101)]
    assert rates[3] == max(rates)
    assert rates == sorted(rates[:4]) + sorted(rates[4:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_a_run_without_mistakes_cools_down_from_where_it_is():
    class Run:
        steps, learning_rate, patience = 100, 1.0, 2

    state = State(step=50, end=100)
    for _ in range(2):
        xml_fit._cool(Run, state, Look(50, 0.1, 1.0, 1.0))
    assert (state.cool, state.end) == (50, 65)
    before = xml_fit.rate(Run, State(step=50, end=100))
    assert xml_fit.rate(Run, state) == pytest.approx(before)
    state.step = 65
    assert xml_fit.rate(Run, state) == 0


def test_a_document_is_right_when_every_next_token_is(page_codec):
    documents = [page_codec.encode(b'<page><head c="red"/><row c="blue"/></page>')] * 2
    batch = xml_batches.batch([np.zeros((2, 2, 3), np.uint8)] * 2, documents)
    masks = xml_batches.masks(page_codec, documents)
    logits = np.eye(len(page_codec.automaton.tokens))[batch.after]
    logits[1, 0] = -logits[1, 0]
    exact, token = xml_fit.judge(lambda *_: logits, batch, masks)
    assert exact == 0.5
    assert 0.5 < token < 1


def test_batches_have_few_lengths_and_what_fills_them_up_weighs_nothing():
    def made(length):
        return xml_batches.batch([np.zeros((2, 2, 3), np.uint8)], [np.arange(1, length + 1)])

    filled = {length: xml_batches.bucketed(made(length), 70) for length in (1, 8, 9, 13, 65)}
    assert {length: batch.after.shape[1] for length, batch in filled.items()} == {1: 8, 8: 8, 9: 12, 13: 16, 65: 70}
    assert filled[9].weight.sum() == 9
    assert filled[9].before.shape == filled[9].after.shape == filled[9].weight.shape


def test_documents_longer_than_the_positions_are_not_filled_up():
    long = xml_batches.batch([np.zeros((2, 2, 3), np.uint8)], [np.arange(80)])
    assert xml_batches.bucketed(long, 70).after.shape == (1, 80)


def test_coordinates_share_what_is_wanted_with_their_neighbours():
    path = Path(xml_fit.__file__).parent / "schemas" / "pattern.rng"
    codec = Codec(schema.parse(path.read_bytes()))
    wanted = xml_fit.targets(codec)
    at = codec.automaton.ids["number", 100]
    assert wanted.sum(axis=1) == pytest.approx(1)
    assert wanted[at].argmax() == at
    assert (wanted[at] > 0).sum() == 7


# ---- sure ------------------------------------------------------------------------------------


def judged(right, score, least):
    return Judged(b"", right, right, score, least, None)


def test_thresholds_leave_at_most_a_hundredth_of_the_sure_answers_wrong():
    rng = np.random.default_rng(0)
    good = [judged(True, rng.uniform(0.8, 1), rng.uniform(0.5, 1)) for _ in range(300)]
    bad = [judged(False, rng.uniform(0.2, 0.9), rng.uniform(0, 0.6)) for _ in range(200)]
    sure = xml_sure.calibrate(good + bad, drawings=False)
    kept = [one for one in good + bad if one.score >= sure.score and one.least >= sure.least]
    assert sum(not one.right for one in kept) <= 0.01 * len(kept)
    assert len(kept) > 200
    assert sure.interval[0] <= sure.wrong <= sure.interval[1]


def test_nothing_is_sure_where_right_and_wrong_look_the_same():
    sure = xml_sure.calibrate([judged(at % 2 == 0, 0.9, 0.9) for at in range(40)], drawings=False)
    assert (sure.score, sure.least) == (1.0, 1.0)


def test_the_interval_is_wilson_s():
    assert xml_sure.wilson(0, 100) == pytest.approx((0, 0.0370), abs=1e-4)
    assert xml_sure.wilson(5, 100) == pytest.approx((0.0215, 0.1118), abs=1e-4)
