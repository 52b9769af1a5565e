"""Every command that the documentation shows is run, as it stands there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.engine import keras_any

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()

# These are run elsewhere: make serve and make test are what runs this, the server has tests with a port of their own, and a bundle that is
# not good enough has one, too. Images are built and composed in tests/images.
ELSEWHERE = {
    "imago train classifier photos/train --name good --assert-accuracy-at-least 0.9",
    "make serve",
    "make test",
    "make image",
    "docker compose -f docker/compose.yaml up -d",
    "imago serve --bundle bundles/photos-XXXXXXXX",
    "curl -F image=@a.jpg http://127.0.0.1:5000/classify",
    "curl -F image=@page.png http://127.0.0.1:5000/convert",
}


def commands() -> list[str]:
    """The lines of the README's shell blocks, comments cut off."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def home(tmp_path_factory, photo) -> Path:
    """A folder as the README's reader has one: photos/train, photos/validation, a.jpg, b.jpg."""
    keras = keras_any.import_keras()
    home = tmp_path_factory.mktemp("home")
    for part, seeds in (("train", range(6)), ("validation", range(6, 8))):
        for label in ("red", "blue"):
            (home / "photos" / part / label).mkdir(parents=True)
            for seed in seeds:
                (home / "photos" / part / label / f"{seed}.jpg").write_bytes(photo(seed=seed + 100 * (label == "red")))
    rows = [f"{path.relative_to(home)},{label}" for path, label in _tagged(home)]
    (home / "photos.csv").write_text("\n".join(["filename,labels", *rows, ""]))
    network = keras.applications.MobileNet((128, 128, 3), alpha=0.25, include_top=False, weights=None)
    network.save_weights(home / "random.weights.h5")
    for name in ("a", "b"):
        (home / f"{name}.jpg").write_bytes(photo(seed=ord(name)))
    return home


def _tagged(home: Path) -> list[tuple[Path, str]]:
    """Photos with one label or two."""
    found = sorted((home / "photos" / "train").rglob("*.jpg"))
    return [(path, path.parent.name + (" dark" if at % 2 else "")) for at, path in enumerate(found)]


def run(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """With this Python's imago, and random weights where the README lets Keras fetch some."""
    words = shlex.split(command)
    if words[:3] == ["imago", "train", "classifier"]:
        words = ["1" if before == "--epochs" else word for before, word in zip(["", *words], words, strict=False)]
        words += ["--weights", str(home / "random.weights.h5"), "--cache", str(home / "cache")]
    words = [sys.executable, "-m", "imago", *words[1:]] if words[0] == "imago" else words
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=home, env=env, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def followed(home) -> list[tuple[str, subprocess.CompletedProcess[str]]]:
    """Each command, run in the README's order, and what came of it."""
    found = []
    for command in commands():
        if command not in ELSEWHERE:
            made = sorted(path.name for path in home.glob("bundles/photos-????????"))
            name = made[0] if made else ""
            found.append((command, run(re.sub("photos-(XXXXXXXX|YYYYYYYY)", name, command), home)))
    return found


def test_the_readme_s_commands_do_what_it_says(followed):
    for command, done in followed:
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_the_readme_s_python_says_what_imago_predict_says(followed, home):
    (bundle,) = (path.stem for path in home.glob("exports/onnx/*.onnx"))
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    words = [sys.executable, "-c", code.replace("photos-XXXXXXXX", bundle)]
    said = subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=600, check=True).stdout
    (predicted,) = json.loads(run(f"imago predict bundles/{bundle} a.jpg --json", home).stdout)["results"]
    best = predicted["predictions"][0]
    assert said.split()[0] == best["label"]
    assert float(said.split()[1]) == pytest.approx(best["probability"], abs=1e-3)


def test_the_two_commands_are_targets_of_make():
    for target in ("serve", "test"):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr


def test_the_curls_of_the_readme_get_answers(start, tiny, boxes, home, png):
    if not shutil.which("curl"):
        pytest.skip("no curl here")
    (home / "page.png").write_bytes(png)
    with start(tiny, boxes, unready_ms=0) as server:
        for line in {command for command in commands() if command.startswith("curl")}:
            words = shlex.split(line.replace("http://127.0.0.1:5000", server.url))
            done = subprocess.run([*words, "-s"], cwd=home, capture_output=True, text=True, timeout=600)
            assert done.stdout.startswith('{"xml":' if "/convert" in line else '{"predictions":[{"label":'), line


def test_files_that_the_readme_links_are_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target
