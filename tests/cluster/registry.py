"""A registry's images under new tags, with other words in their configuration and the same layers."""

import hashlib
import json

import urllib3

KINDS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


class Registry:
    """At `place` (HOST:PORT), with the certificate and the password that it asks for."""

    def __init__(self, place: str, certificate, user: str, password: str) -> None:
        self.place, self.user, self.password = place, user, password
        headers = urllib3.make_headers(basic_auth=f"{user}:{password}")
        self.pool = urllib3.PoolManager(ca_certs=str(certificate), headers=headers)

    def ask(self, method: str, path: str, wanted: int, **options):
        url = path if path.startswith("https:") else f"https://{self.place}/v2/imago-server/{path}"
        if "headers" in options:
            options["headers"] = self.pool.headers | options["headers"]
        answer = self.pool.request(method, url, **options)
        assert answer.status == wanted, f"{method} {url}: {answer.status} {answer.data[:300]}"
        return answer

    def tag(self, old: str, new: str, **config) -> str:
        """The digest of imago-server:NEW, which is OLD with that configuration (Env, Entrypoint, Cmd, Labels)."""
        answer = self.ask("GET", f"manifests/{old}", 200, headers={"Accept": KINDS})
        manifest, kind = answer.json(), answer.headers["Content-Type"]
        image = self.ask("GET", f"blobs/{manifest['config']['digest']}", 200).json()
        image["config"] |= config
        blob = json.dumps(image).encode()
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        place = self.ask("POST", "blobs/uploads/", 202).headers["Location"]
        self.ask(
            "PUT", f"{place}&digest={digest}", 201, body=blob, headers={"Content-Type": "application/octet-stream"}
        )
        manifest["config"] |= {"digest": digest, "size": len(blob)}
        answer = self.ask("PUT", f"manifests/{new}", 201, body=json.dumps(manifest), headers={"Content-Type": kind})
        return answer.headers["Docker-Content-Digest"]

    def digest(self, tag: str) -> str:
        return self.ask("HEAD", f"manifests/{tag}", 200, headers={"Accept": KINDS}).headers["Docker-Content-Digest"]
