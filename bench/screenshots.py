"""The page as people see it: every state, in both themes and at three widths, as PNG files to look at.

`python -m bench.screenshots FOLDER [BUNDLE ...]` (make screenshots) starts a real server with the embedded bundles, or the named ones; the
pictures are their golden ones. States of models that make XML are left out where none is served. Needs Debian's Chromium.
"""

import io
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = (320, 768, 1280)
THEMES = ("light", "dark")


def main(folder: Path, bundles: list[Path]) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("no chromium here; as root: make browser")
    folder.mkdir(parents=True, exist_ok=True)
    bundles = bundles or sorted(path.parent for path in ROOT.glob("server/bundles/*/manifest.json"))
    with serve(bundles) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, state in states(bundles).items():
            for theme in THEMES:
                for width in WIDTHS:
                    context = browser.new_context(
                        color_scheme=theme,
                        viewport={"width": width, "height": 800},
                        java_script_enabled=name != "no-js",
                        has_touch=width == WIDTHS[0],
                        is_mobile=width == WIDTHS[0],
                    )
                    page = context.new_page()
                    page.goto(url)
                    state(page)
                    page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
                    context.close()
        browser.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


@contextmanager
def serve(bundles: list[Path]) -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    named = [word for path in bundles for word in ("--bundle", str(path))]
    process = subprocess.Popen([sys.executable, "-m", "imago", "serve", "--listen", address, *named], cwd=ROOT)
    try:
        while process.poll() is None and not ready(address):
            time.sleep(0.1)
        yield f"http://{address}/"
    finally:
        process.terminate()
        process.wait(20)


def ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False


def states(bundles: list[Path]) -> dict[str, Callable[[Any], object]]:
    """Name -> what is done on the page to see it."""
    found: dict[str, Callable[[Any], object]] = {"idle": lambda page: None, "over": over}
    labels = next((path for path in bundles if (path / "labels.txt").exists()), None)
    xml = next((path for path in bundles if (path / "schema.rng").exists()), None)
    if labels:
        drawn = sorted(labels.glob("golden/*.png"))
        found["answer"] = partial(ask, bundle=labels, files=drawn[:1])
        found["several"] = partial(ask, bundle=labels, files=[*drawn, ROOT / "README.md"])
        found["error"] = partial(ask, bundle=labels, files=[ROOT / "README.md"])
        found["no-js"] = partial(post, file=drawn[0])
    if xml:
        found["convert"] = partial(surest, bundle=xml, files=sorted(xml.glob("golden/*.png")))
        found["unsure"] = partial(ask, bundle=xml, files=[noise()])
    return found


def over(page: Any) -> None:
    page.dispatch_event("#drop", "dragover")


def ask(page: Any, bundle: Path, files: list[Any]) -> None:
    page.select_option("#model", bundle.name.rpartition("-")[0], force=True)
    page.set_input_files("#image", files)
    done = page.locator("#strip [data-state=answer], #strip [data-state=problem]")
    done.nth(len(files) - 1).wait_for(state="attached")
    page.wait_for_timeout(300)


def surest(page: Any, bundle: Path, files: list[Any]) -> None:
    ask(page, bundle, files)
    sure = page.locator("#strip button", has_text="✓")
    if sure.count():
        sure.first.click()


def post(page: Any, file: Path) -> None:
    page.set_input_files("#image", file)
    page.click("[type=submit]")


def noise() -> dict[str, Any]:
    """Nothing that any model knows."""
    coarse = np.random.default_rng(7).integers(30, 226, (3, 4, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(out, "JPEG")
    return {"name": "sky.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
