"""gunicorn underneath: one process that listens at once, loads in the background, and goes down without losing a request."""

import logging
import os
import shlex
import sys
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from bundle.errors import ImagoError
from server import logs
from server.config import Config
from server.models import Models

log = logging.getLogger("imago.server")


class Server(BaseApplication):
    """No Application of gunicorn's, which would put the working directory first on sys.path."""

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__()

    def load_config(self) -> None:
        for name, value in _settings(self.config).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """In the worker process, so that the parent stays small."""
        from server.app import create_app

        models = Models(self.config)
        app = create_app(self.config, models)
        models.start(failed, ready)
        return app


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


def ready(models: Models) -> None:
    for model in models.all():
        for warning in model.warnings:
            log.warning("%s: %s", model.manifest.name, warning)
    if logs.is_text(models.config.log):
        print(welcome(models), file=sys.stderr, flush=True)
    else:
        names = [f"{model.manifest.name}-{model.manifest.id[:8]} on {model.engine.name}" for model in models.all()]
        log.info("serving %s at %s", ", ".join(names), models.config.listen)


def welcome(models: Models) -> str:
    """What is served, and two commands to try."""
    config = models.config
    url = f"http://{config.listen.replace('0.0.0.0', '127.0.0.1')}"
    names = [f"  {model.manifest.name}-{model.manifest.id[:8]} on {model.engine.name}" for model in models.all()]
    sample = min(path for path in (config.bundles[0] / "golden").iterdir() if path.name != "expected.json")
    tries = [f"  curl -F image=@{shlex.quote(os.path.relpath(sample))} {url}/classify", f"  curl {url}/version"]
    return "\n".join(["", "serving", *names, f"open {url} in a browser, or try", *tries, ""])


def _settings(config: Config) -> dict[str, Any]:
    return {
        "bind": config.listen,
        "worker_class": "server.front.Front",
        "workers": 1,
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
