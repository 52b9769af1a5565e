"""Which addresses pictures may be fetched from: a strict reading of URLs, the list of hosts, and which IP addresses are public."""

import ipaddress
import re
from dataclasses import dataclass

from server.errors import BadRequest

PORTS = {"https": 443, "http": 80}
# Names of letters, digits and hyphens with no dot at the end, and bracketed IPv6; the rest has no spaces, controls or backslashes.
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
_HOST = rf"({_NAME}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?"
_URL = re.compile(rf"(https?)://{_HOST}((?:[/?][!$-;=?-\[\]_a-z~]*)?)")
_ENTRY = re.compile(rf"(?:(https?)://)?{_HOST}")
# What the last label of a name looks like when a resolver may take the whole for a number: 2130706433, 0x7f.1, 127.1
_NUMBER = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)")

_V6 = ipaddress.IPv6Network("2000::/3")  # all that is given out; mapped, NAT64 and site-local forms lie outside
_V6_NOT = [ipaddress.IPv6Network(net) for net in ("2001::/23", "2002::/16", "3fff::/20")]
_V4_NOT = [ipaddress.IPv4Network(net) for net in ("192.0.0.0/24", "192.88.99.0/24")]


@dataclass(frozen=True)
class Target:
    """Where a URL leads, and what is asked for there."""

    scheme: str
    host: str  # lower case, IPv6 without brackets
    port: int
    path: str = "/"

    @property
    def place(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


@dataclass(frozen=True)
class Entry:
    """One host of the list. `private` ones, an IP address or a scheme with a port, may lie in a network of one's own."""

    scheme: str
    host: str
    port: int
    private: bool

    @property
    def place(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


def url(text: str) -> Target:
    """Raises BadRequest for everything but plain http(s) with a plain host."""
    found = _URL.fullmatch(text) if len(text) <= 2048 else None
    place = found and _place(found[1], found[2], found[3])
    if not found or not place:
        raise BadRequest(
            "url is none that is read here; wanted https://HOST/PATH, escaped, without user or fragment, 2048 letters at most"
        )
    rest = found[4]
    return Target(*place, path=rest if rest.startswith("/") else f"/{rest}")


def entry(text: str) -> Entry | None:
    """HOST (https, public addresses only), http://HOST, or an IP address or SCHEME://HOST:PORT (taken as it stands)."""
    found = _ENTRY.fullmatch(text)
    place = found and _place(found[1] or "https", found[2], found[3])
    if not found or not place:
        return None
    return Entry(*place, private=literal(place[1]) or bool(found[1] and found[3]))


def literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def public(address: str) -> bool:
    """Whether it lies in the open internet; whatever may lead elsewhere in another spelling does not."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # an address with a zone
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global and not found.is_multicast and not any(found in net for net in _V4_NOT)
    return found.is_global and found in _V6 and not any(found in net for net in _V6_NOT)


def reachable(address: str, listed: Entry) -> bool:
    """A private entry's name may lead to a private network, but never to link-local addresses, where clouds keep secrets."""
    if not listed.private or literal(listed.host):
        return listed.private or public(address)
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    odd = found.is_link_local or found.is_unspecified or getattr(found, "ipv4_mapped", None)
    return public(address) or (found.is_private and not odd)


def _place(scheme: str, host: str, port: str | None) -> tuple[str, str, int] | None:
    number = int(port) if port else PORTS[scheme]
    name = host.lower()
    if name.startswith("["):
        name = name[1:-1]
        if not literal(name):
            return None
    elif len(name) > 253 or (_NUMBER.fullmatch(name.rpartition(".")[2]) and not literal(name)):
        return None
    return (scheme, name, number) if 0 < number < 65536 else None
