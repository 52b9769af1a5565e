"""A registry under a name of Amazon's: the daemon reaches it by a proxy that knows no other name. conftest.py loads this file by its path."""

import socket
import socketserver
import threading
from contextlib import contextmanager

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PASSWORD = "123456789012-auth-token"  # what moto gives everybody


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
