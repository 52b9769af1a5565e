"""Docker's health check: /readyz of this container's server. What it says is printed; exit status 0 where it is ready."""

import http.client
import os
import sys


def main() -> int:
    port = int(os.environ.get("IMAGO_LISTEN", "0.0.0.0:5000").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        print(answer.read(1000).decode("utf-8", "replace").strip())
    except OSError as error:
        print(f"no answer at port {port}: {error}")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
