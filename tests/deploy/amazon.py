"""A registry under a name of Amazon's: the daemon reaches it by a proxy that knows no other name. conftest.py loads this file by its path."""

import json
import shutil
import socket
import socketserver
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PASSWORD = "123456789012-auth-token"  # what moto gives everybody


@contextmanager
def registry(containers, folder):
    """(port of the proxy, certificate); the user is AWS."""
    port, certificate = containers.free_port(), _certificate(folder)
    made = containers.Registry(f"localhost:{port}", certificate, "AWS", PASSWORD)
    _passwords(folder)
    (folder / "registry.json").write_text(json.dumps(_configuration(folder, port)))
    believed = Path(f"/etc/docker/certs.d/{HOST}")
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "registry.json"], stdout=log, stderr=log)
    try:
        believed.mkdir(parents=True)
        shutil.copy(certificate, believed / "ca.crt")
        containers._wait(made, process, folder / "registry.log")
        with proxy(port) as proxied:
            yield proxied, made
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(believed, ignore_errors=True)


@contextmanager
def proxy(port):
    """Its port: CONNECT HOST:443 leads to `port` of this machine, everything else is refused."""

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self):
            asked = self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            if asked.split()[1] != f"{HOST}:443".encode():
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                return
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as there:
                back = threading.Thread(target=_copy, args=(there, self.connection))
                back.start()
                _copy(self.connection, there)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Tunnel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _certificate(folder):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", folder / "registry.key", "-out", folder / "registry.crt", "-days", "2", "-subj", "/CN=ecr"]
    command += ["-addext", f"subjectAltName=DNS:{HOST},DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder / "registry.crt"


def _passwords(folder):
    done = subprocess.run(["htpasswd", "-Bin", "AWS"], check=True, capture_output=True, input=PASSWORD.encode())
    (folder / "htpasswd").write_bytes(done.stdout.strip() + b"\n")


def _configuration(folder, port):
    return {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
        "http": {
            "addr": f"127.0.0.1:{port}",
            "secret": "tests",
            "tls": {"certificate": str(folder / "registry.crt"), "key": str(folder / "registry.key")},
        },
    }
