"""A Kubernetes of one node and a registry: each of its processes ends with it; traces.py has the rest."""

import hashlib
import io
import json
import os
import socket
import ssl
import subprocess
import tarfile
import time
import tomllib
import urllib.request
from collections import ChainMap
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).with_name("templates")
USERS = {
    "admin": 'admin,admin,"system:masters"',
    "node": 'system:node:node,node,"system:nodes"',
    "proxy": "system:kube-proxy,proxy",
}
READY = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
# The longest that one process may take until it answers, on a busy machine.
START_S = 60


def address() -> str:
    """This machine's own, where pods reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("198.51.100.1", 9))  # sends nothing
        return sock.getsockname()[0]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("", 0))
        return sock.getsockname()[1]


class Values(dict):
    """What templates ask for: a name that has no value yet is a free port's."""

    def __missing__(self, name: str) -> int:
        self[name] = free_port()
        return self[name]


class Machine:
    """What runs in `folder`, and how to fill its templates."""

    def __init__(self, folder: Path, binaries: Path, bridge: str) -> None:
        self.folder = folder
        self.binaries = binaries
        self.values = Values(folder=folder, address=address(), bridge=bridge)
        self.path = f"{binaries}:{os.environ['PATH']}"
        self.ssl = None

    def fill(self, template: str, into: Path, **more) -> Path:
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(Template((TEMPLATES / template).read_text()).substitute(ChainMap(more, self.values)))
        return into

    def run(self, *words, **options) -> str:
        """What a command prints. Fails with its error."""
        options = {"timeout": 120, "env": os.environ | {"PATH": self.path}} | options
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    def ctr(self, *words) -> str:
        return self.run(
            "ctr", "--address", self.folder / "containerd.sock", "--namespace", "k8s.io", *words, timeout=300
        )

    def kubectl(self, *words, **options) -> str:
        return self.run("kubectl", "--kubeconfig", self.folder / "admin.kubeconfig", *words, **options)

    def api(self, path: str, body: dict | None = None):
        """What the API server answers; a POST where there is a body. Raises HTTPError."""
        url = f"https://127.0.0.1:{self.values['api']}{path}"
        headers = {"Authorization": "Bearer admin", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
        with urllib.request.urlopen(request, timeout=10, context=self.ssl) as answer:
            return json.load(answer)

    def began(self, container: str) -> float:
        """When a container's first process did, of CLOCK_BOOTTIME; 10 ms is its unit."""
        rows = [line.split() for line in self.ctr("tasks", "list").splitlines()]
        pid = next(row[1] for row in rows if row[0] == container.removeprefix("containerd://"))
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(after_name[19]) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def process(self, name: str, command: str, ready: str = ""):
        """Runs until the block is left; it must live through it."""
        words = Template(command).substitute(self.values).split()
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            options = {"stdout": file, "stderr": file, "start_new_session": True}
            process = subprocess.Popen(words, cwd=self.folder, env=os.environ | {"PATH": self.path}, **options)
        try:
            self._wait(process, log, Template(ready).substitute(self.values))
            yield process
            assert process.poll() is None, f"{name} ended: {log.read_text()[-2000:]}"
        finally:
            _end(process)

    def _wait(self, process, log, url):
        until = time.monotonic() + START_S
        while url and not self.answers(url):
            assert process.poll() is None, f"{log.name}: it ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < until, f"{log.name}: not ready: {log.read_text()[-2000:]}"
            time.sleep(0.1)

    def answers(self, url: str) -> bool:
        request = urllib.request.Request(url, headers={"Authorization": "Bearer admin"})
        try:
            return urllib.request.urlopen(request, timeout=2, context=self.ssl if url[4] == "s" else None).status == 200
        except OSError:  # URLError is one
            return False


def _end(process) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- the cluster ---------------------------------------------------------------------------


@contextmanager
def running(folder: Path, binaries: Path, bridge: str):
    """A Machine with a registry and a ready node, whose pods have an interface of that name in common."""
    machine = Machine(folder, binaries, bridge)
    _write_files(machine)
    with ExitStack() as stack:
        registry = "docker-registry serve $folder/registry.yaml"
        stack.enter_context(machine.process("registry", registry, ""))
        for name, process in tomllib.loads((TEMPLATES / "processes.toml").read_text()).items():
            stack.enter_context(machine.process(name, process["command"], process.get("ready", "")))
            if name == "containerd":
                _bring_pause(machine)
        wait(lambda: "True" in machine.kubectl("get", "node", "node", "-o", READY), 60, "the node is not ready")
        stack.callback(_delete_pods, machine)  # while there is a kubelet to take them down
        yield machine


def wait(what, timeout_s: float, why, every_s: float = 0.2):
    """What `what` returns once it is true; `why`, a text or what returns one, is the failure otherwise."""
    until = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < until, why() if callable(why) else why
        time.sleep(every_s)
    return found


def _write_files(machine: Machine) -> None:
    folder = machine.folder
    names = f"subjectAltName=IP:127.0.0.1,IP:{machine.values['address']},DNS:localhost"
    subject = ("-subj", "/O=system:masters/CN=imago", "-addext", names, "-days", "2")
    pair = ("-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    machine.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *pair, *subject)
    machine.ssl = ssl.create_default_context(cafile=folder / "tls.crt")
    (folder / "tokens.csv").write_text("".join(f"{token},{rest}\n" for token, rest in USERS.items()))
    (folder / "htpasswd").write_text(machine.run("htpasswd", "-Bbn", "imago", "a-password"))
    for user in USERS:
        machine.fill("kubeconfig.yaml", folder / f"{user}.kubeconfig", user=user, token=user)
    for name in ("containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "registry.yaml"):
        machine.fill(name, folder / name)
    machine.fill("hosts.toml", folder / "hosts" / f"127.0.0.1:{machine.values['registry']}" / "hosts.toml")
    machine.fill("bridge.conflist", folder / "cni" / "bridge.conflist")


def _bring_pause(machine: Machine) -> None:
    """The program that holds a pod's namespaces, as an image of one file."""
    wait((machine.folder / "containerd.sock").exists, START_S, "containerd does not listen")
    archive = machine.folder / "pause.tar"
    layer = _tar({"pause": (machine.binaries / "pause").read_bytes()})
    config = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/pause"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    index = [{"Config": "config.json", "RepoTags": ["docker.io/imago/pause:1"], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(index).encode()}
    archive.write_bytes(_tar(files | {"layer.tar": layer}))
    machine.ctr("images", "import", archive)


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _delete_pods(machine: Machine) -> None:
    """What holds pods goes first, or they come again; the kubelet then takes down containers, mounts and interfaces."""
    machine.kubectl("delete", "--all-namespaces", "--all", "deployments,replicasets", "--wait=false")
    machine.kubectl("delete", "--all-namespaces", "--all", "pods", "--grace-period=1", "--timeout=60s")
