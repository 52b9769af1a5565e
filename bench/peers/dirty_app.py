"""gunicorn's dirty workers: a model's process apart, that only takes the pixels and gives scores: `python -m bench.peers.dirty_app PORT`."""

import sys
import time
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.dirty import DirtyApp, get_dirty_client

PIXELS, SCORES = 224 * 224 * 3, 1000 * 4


class Model(DirtyApp):
    def run(self, pixels: bytes) -> bytes:
        return bytes(SCORES)


def application(given: Any, start_response: Any) -> list[bytes]:
    """Of any path but /readyz, milliseconds of a picture's way there and its scores' way back, mean of 500."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b""] if given["PATH_INFO"] == "/readyz" else [str(way_ms()).encode()]


def way_ms() -> float:
    client, pixels = get_dirty_client(), bytes(PIXELS)
    start = time.perf_counter()
    for _ in range(500):
        assert len(client.execute("bench.peers.dirty_app:Model", "run", pixels)) == SCORES
    return (time.perf_counter() - start) * 1000 / 500


class Dirty(BaseApplication):
    def load_config(self) -> None:
        for name, value in {
            "bind": f"127.0.0.1:{sys.argv[1]}",
            "proc_name": f"imago-bench-{sys.argv[1]}",
            "dirty_apps": ["bench.peers.dirty_app:Model"],
            "dirty_workers": 1,
            "control_socket_disable": True,
            "loglevel": "warning",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return application


if __name__ == "__main__":
    Dirty().run()
