"""gunicorn underneath: one process that listens at once, loads in the background, and goes down without losing a request."""

import gc
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from bundle.errors import ImagoError
from bundle.model import Model
from bundle.xml.model import XmlModel
from server import logs
from server.config import Config
from server.models import ROUTE, Models

log = logging.getLogger("imago.server")

# Between two tries of a process that cannot load what the others serve.
AGAIN_S = 5.0


class Server(BaseApplication):
    """No Application of gunicorn's, which would put the working directory first on sys.path."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.first = True  # of several processes, the one that speaks for all
        super().__init__()

    def load_config(self) -> None:
        for name, value in _settings(self.config).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """In the worker process, so that the parent stays small."""
        from server.app import create_app

        models = Models(self.config)
        models.parent = os.getppid() if self.config.processes > 1 else 0
        app = create_app(self.config, models)
        models.start(failed if self.first else failed_later, ready if self.first else ready_later)
        return app

    def run(self) -> None:
        from server.processes import Parent

        try:
            Parent(self).run()
        except RuntimeError as error:  # gunicorn's way to say what it cannot do
            print(f"imago: {error}", file=sys.stderr, flush=True)
            sys.exit(1)


class Log(Logger):
    """gunicorn's own messages go where ours go, in the same shape."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def run(config: Config) -> None:
    """Serves until a signal ends it."""
    logs.configure(config.log)
    Server(config).run()


def failed(error: ImagoError) -> None:
    """A bundle that cannot be served ends the server: nothing would get better by starting the worker again."""
    print(f"imago: {error}", file=sys.stderr, flush=True)
    os._exit(Arbiter.WORKER_BOOT_ERROR)


def failed_later(error: ImagoError) -> None:
    """The others serve on; this one ends after a while, and the parent starts another."""
    log.error("process %d cannot load, and tries again: %s", os.getpid(), error)
    time.sleep(AGAIN_S)
    os._exit(1)


def settle() -> None:
    """What is loaded stays, so the collector of cycles need not look at it again and again."""
    gc.collect()
    gc.freeze()


def ready_later(models: Models) -> None:
    settle()
    log.info("process %d serves too", os.getpid())


def ready(models: Models) -> None:
    settle()
    for model in models.all():
        for warning in model.warnings:
            log.warning("%s: %s", model.manifest.name, warning)
    if logs.is_text(models.config.log):
        print(welcome(models), file=sys.stderr, flush=True)
    else:
        names = [f"{model.manifest.name}-{model.manifest.id[:8]} on {model.engine.name}" for model in models.all()]
        log.info("serving %s at %s", ", ".join(names), models.config.listen)


def welcome(models: Models) -> str:
    """What is served, and commands to try."""
    config = models.config
    url = f"http://{config.listen.replace('0.0.0.0', '127.0.0.1')}"
    names = [f"  {model.manifest.name}-{model.manifest.id[:8]} on {model.engine.name}" for model in models.all()]
    tries = [_example(model, url) for model in _first_of_each_kind(models)]
    return "\n".join(["", "serving", *names, f"open {url} in a browser, or try", *tries, f"  curl {url}/version", ""])


def _first_of_each_kind(models: Models) -> Iterable[Model | XmlModel]:
    return {model.manifest.kind: model for model in reversed(models.all())}.values()


def _example(model: Model | XmlModel, url: str) -> str:
    golden = model.directory / "golden"
    sample = min(path for path in golden.iterdir() if path.name != "expected.json")
    return f"  curl -F image=@{shlex.quote(os.path.relpath(sample))} {url}/{ROUTE[model.manifest.kind]}"


def _settings(config: Config) -> dict[str, Any]:
    return {
        "bind": config.listen,
        "worker_class": "server.processes.Process",
        "workers": config.processes,
        # The loop drains by itself; the parent only kills what is stuck.
        "graceful_timeout": config.drain_s + config.unready_ms // 1000 + 5,
        "control_socket_disable": True,
        "loglevel": "warning",
        "logger_class": Log,
        # The heartbeat file must not wait for a slow disk.
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
    }
