"""What attackers have: raw sockets, swarms of clients, a look at the memory of the process they attack."""

import asyncio
import http.client
import os
import socket
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest


@pytest.fixture(scope="session")
def target(start, tiny):
    """A server of this folder's own, which waits two seconds for a request to be whole."""
    with start(tiny, read_ms=2000, unready_ms=0) as server:
        yield server


# ---- one request -----------------------------------------------------------------------------


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes


def _connect(url, timeout_s=60):
    found = urlsplit(url)
    return socket.create_connection((found.hostname, found.port), timeout=timeout_s)


def _read(sock, method="POST"):
    """One answer, and no byte of the next."""
    body = b""
    with sock.makefile("rb", buffering=0) as file:
        line = file.readline()
        if not line:
            raise ConnectionResetError("closed without an answer")
        fields = http.client.parse_headers(file)
        length = 0 if method == "HEAD" else int(fields["Content-Length"])
        while len(body) < length and (more := file.read(length - len(body))):
            body += more
    headers = {name.lower(): value for name, value in fields.items()}
    return Answer(int(line.split()[1]), headers, body)


def _request(data, kind="image/jpeg", path="/classify", **headers):
    fields = {"Host": "x", "Content-Type": kind, "Content-Length": len(data), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def _send(url, data):
    """One answer to these bytes, sent as they are."""
    with closing(_connect(url)) as sock:
        with suppress(BrokenPipeError, ConnectionResetError):  # the answer came before the end
            sock.sendall(data)
        return _read(sock)


@pytest.fixture(scope="session")
def connect():
    return _connect


@pytest.fixture(scope="session")
def read():
    return _read


@pytest.fixture(scope="session")
def request_of():
    """(body, content type, path=, **headers) -> the bytes of a POST."""
    return _request


@pytest.fixture(scope="session")
def send():
    return _send


@pytest.fixture(scope="session")
def post():
    """(url, body, content type, ...) -> answer."""
    return lambda url, data, kind="image/jpeg", **more: _send(url, _request(data, kind, **more))


# ---- many requests ---------------------------------------------------------------------------


async def _client(where, data, until, found):
    reader, writer = await asyncio.open_connection(*where)
    while time.monotonic() < until:
        start = time.monotonic()
        writer.write(data)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        status = int(head.split()[1])
        found.append((status, time.monotonic() - start, b"retry-after: 1" in head, body))
        if status == 503:
            await asyncio.sleep(0.2)
    writer.close()


async def _swarm(where, datas, seconds):
    found, until = [], time.monotonic() + seconds
    done = await asyncio.gather(*(_client(where, data, until, found) for data in datas), return_exceptions=True)
    return found, [repr(error) for error in done if error]


@pytest.fixture(scope="session")
def swarm():
    """(url, a request for each client, seconds) -> ([(status, seconds, has Retry-After, body)], broken connections)."""

    def run(url, datas, seconds):
        found = urlsplit(url)
        return asyncio.run(_swarm((found.hostname, found.port), datas, seconds))

    return run


# ---- the process -----------------------------------------------------------------------------


def _worker(server):
    """The process id of gunicorn's one worker."""
    pid = server.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _memory(pid, name):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


@contextmanager
def _peak(server):
    """How many MB more than before the worker had at most, in a list."""
    pid, grown = _worker(server), []
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = _memory(pid, "VmRSS")
    yield grown
    grown.append(_memory(pid, "VmHWM") - before)


def _used_s(server):
    fields = Path(f"/proc/{_worker(server)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="session")
def used_s():
    """(server) -> processor time of its worker, which is the same however much else there is to do."""
    return _used_s


@pytest.fixture(scope="session")
def worker():
    return _worker


@pytest.fixture(scope="session")
def memory():
    return _memory


@pytest.fixture(scope="session")
def peak():
    return _peak


# ---- a slow model ----------------------------------------------------------------------------


def _slow(rounds):
    """Mean red, green and blue as scores, after `rounds` products of 400 x 400 matrices (some ms each)."""
    from onnx import TensorProto, helper, numpy_helper

    from bundle import canonical

    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("ReduceMean", ["means", "all"], ["mean"], keepdims=0),
        helper.make_node("Add", ["matrix", "mean"], ["work0"]),
    ]
    for at in range(rounds):
        nodes.append(helper.make_node("MatMul", [f"work{at}", "matrix"], [f"work{at + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"work{rounds}", "all"], ["left"], keepdims=0),
        helper.make_node("Mul", ["left", "nothing"], ["none"]),
        helper.make_node("Add", ["means", "none"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    weights = {
        "axes": np.array([1, 2], np.int64),
        "all": np.array([0, 1], np.int64),
        "matrix": np.full((400, 400), 1 / 400, np.float32),
        "nothing": np.array(1e-9, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return canonical.onnx_bytes(model, "scores", 3)


@pytest.fixture(scope="session")
def slow(bundles, parts):
    """(rounds) -> a bundle whose model takes some milliseconds a round."""
    from bundle.write import write

    return lambda rounds: write(bundles, replace(parts, name=f"slow{rounds}", models={"model.onnx": _slow(rounds)}))
