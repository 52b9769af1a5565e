"""All clients together: how many there are, what they hold in memory, and who gives way when it is too much; knows no loop."""

import resource
from collections.abc import Iterator

from server.config import Config
from server.connection import Connection

# Nobody is refused for less than this when all bodies together are too much.
SMALL = 64 << 10
# File descriptors for everything but clients: model, log, pipes, what libraries open for a moment.
SPARE_FILES = 40


class Clients:
    def __init__(self, config: Config) -> None:
        self.all: set[Connection] = set()
        self.held = 0
        # An eighth more for those who are being told that there are too many.
        self.most = min(config.connections, max(1, _files(config.connections) * 8 // 9))
        self.most_held = config.bodies_mb << 20

    def count(self, connection: Connection, held: int) -> None:
        """What a connection holds now, in bytes."""
        self.held += held - connection.counted
        connection.counted = held

    def discard(self, connection: Connection) -> None:
        self.count(connection, 0)
        self.all.discard(connection)

    def idle(self) -> list[Connection]:
        """Those who have sent nothing of a request, the one that has been so for longest first."""
        return sorted((one for one in self.all if one.idle), key=lambda one: one.since)

    def full(self) -> bool:
        return len(self.all) > self.most

    def crammed(self) -> bool:
        """Not even those who are being turned away have room."""
        return len(self.all) > self.most * 9 // 8

    def too_large(self) -> Iterator[Connection]:
        """Of those that are still being sent the largest, then the next, for as long as all hold too much."""
        if self.held <= self.most_held:
            return
        reading = sorted((one for one in self.all if one.state == "reading"), key=lambda one: one.counted)
        while reading and self.held > self.most_held and reading[-1].counted > SMALL:
            yield reading.pop()


def _files(wanted: int) -> int:
    """How many connections there are file descriptors for; the soft limit is raised as far as the hard one lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted * 9 // 8 + 1 + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most - SPARE_FILES
