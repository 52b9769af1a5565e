"""A real API server with its controllers and no node: pods are as ready as their image's tag says. conftest.py loads this file by its path."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

BUILT = ("kube-apiserver", "kube-controller-manager")
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: tests, cluster: {{server: "{url}", certificate-authority: {folder}/tls.crt}}}}]
users: [{{name: tests, user: {{token: {user}}}}}]
contexts: [{{name: tests, context: {{cluster: tests, user: tests}}}}]
current-context: tests
"""
ETCD = """etcd --name tests --data-dir {folder}/etcd --unsafe-no-fsync --initial-cluster tests=http://127.0.0.1:{peer}
 --listen-client-urls http://127.0.0.1:{etcd} --advertise-client-urls http://127.0.0.1:{etcd}
 --listen-peer-urls http://127.0.0.1:{peer} --initial-advertise-peer-urls http://127.0.0.1:{peer}"""
SERVER = """{binaries}/kube-apiserver --etcd-servers http://127.0.0.1:{etcd} --bind-address 127.0.0.1 --secure-port {api}
 --token-auth-file {folder}/tokens.csv --authorization-mode RBAC --service-cluster-ip-range 10.98.0.0/24
 --tls-cert-file {folder}/tls.crt --tls-private-key-file {folder}/tls.key --cert-dir {folder}/certs
 --service-account-issuer https://kubernetes.default.svc --service-account-key-file {folder}/tls.key
 --service-account-signing-key-file {folder}/tls.key"""
CONTROLLERS = """{binaries}/kube-controller-manager --kubeconfig {folder}/admin.kubeconfig --bind-address 127.0.0.1
 --secure-port {controllers} --port 0 --tls-cert-file {folder}/tls.crt --tls-private-key-file {folder}/tls.key
 --cert-dir {folder}/certs --service-account-private-key-file {folder}/tls.key --leader-elect=false"""


def binaries():
    """As make test-cluster leaves them."""
    return Path(os.environ.get("IMAGO_CLUSTER_CACHE") or Path.home() / ".cache" / "imago-cluster") / "bin"


def missing():
    """Why there is no control plane here, or nothing."""
    gone = [name for name in ("etcd", "kubectl", "openssl") if not shutil.which(name)]
    gone += [name for name in BUILT if not (binaries() / name).exists()]
    return f"not here: {', '.join(gone)}; make test-cluster builds Kubernetes" if gone else ""


@contextmanager
def running(folder):
    """A folder with admin.kubeconfig, nobody.kubeconfig and wrong.kubeconfig."""
    values = {name: _free_port() for name in ("etcd", "peer", "api", "controllers")}
    values |= {"folder": folder, "binaries": binaries(), "url": f"https://127.0.0.1:{values['api']}"}
    _write_files(folder, values)
    with ExitStack() as stack:
        for command in (ETCD, SERVER):
            stack.enter_context(_process(command.format(**values), folder))
        _wait(folder)
        stack.enter_context(_process(CONTROLLERS.format(**values), folder))
        stack.enter_context(_node(values["url"], folder))
        yield folder


def _write_files(folder, values):
    pair = ("-keyout", folder / "tls.key", "-out", folder / "tls.crt", "-days", "2")
    names = ("-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *pair, *names], check=True, capture_output=True
    )
    (folder / "tokens.csv").write_text('admin,admin,admin,"system:masters"\nnobody,nobody,nobody\n')
    for user in ("admin", "nobody", "wrong"):
        (folder / f"{user}.kubeconfig").write_text(KUBECONFIG.format(**values, user=user))


@contextmanager
def _process(command, folder):
    with (folder / f"{Path(command.split()[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command.split(), cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait(folder):
    until = time.monotonic() + 90
    command = ["kubectl", "--kubeconfig", folder / "admin.kubeconfig", "get", "--raw", "/readyz"]
    while subprocess.run(command, capture_output=True).returncode:
        assert time.monotonic() < until, (folder / "kube-apiserver.log").read_text()[-2000:]
        time.sleep(0.3)


@contextmanager
def _node(url, folder):
    """Plays the kubelet: a pod is ready unless its image's tag is `bad`, and goes at once when it is deleted."""
    context, over = ssl.create_default_context(cafile=folder / "tls.crt"), threading.Event()

    def ask(method, path, body=None):
        headers = {"Authorization": "Bearer admin", "Content-Type": "application/merge-patch+json"}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{url}/api/v1/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)

    def turn():
        for pod in ask("GET", "pods")["items"]:
            path = f"namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            if "deletionTimestamp" in pod["metadata"]:
                ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
            elif "containerStatuses" not in pod["status"]:
                ask("PATCH", f"{path}/status", {"status": _status(pod["spec"]["containers"][0])})

    def play():
        while not over.wait(0.2):
            with suppress(OSError):  # what is gone meanwhile
                turn()

    thread = threading.Thread(target=play)
    thread.start()
    yield
    over.set()
    thread.join()


def _status(container):
    now, image = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), container["image"]
    status = {"name": container["name"], "image": image, "imageID": "", "ready": True, "restartCount": 0}
    if image.endswith(":bad"):
        waits = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
        return {"phase": "Pending", "containerStatuses": [status | {"ready": False, "state": {"waiting": waits}}]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
    status["state"] = {"running": {"startedAt": now}}
    return {"phase": "Running", "conditions": [ready], "containerStatuses": [status]}


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
