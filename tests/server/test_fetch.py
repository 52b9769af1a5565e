"""Pictures by url and s3: what is listed comes, bit-equal; everything else is refused, and nobody is asked."""

import datetime
import ipaddress
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from server import allow, fetch
from server.allow import Entry
from server.errors import BadRequest, FetchFailed, FetchTooSlow, UrlNotAllowed
from server.fetch import Fetcher

MB = 1 << 20


class Listener(ThreadingHTTPServer):
    """A web server of our own that does what its path says, and keeps the requests."""

    def __init__(self, picture):
        super().__init__(("127.0.0.1", 0), Page)
        self.picture, self.hits, self.hosts, self.ended = picture, [], [], threading.Event()

    def handle_error(self, *_):
        pass  # the other side hangs up early: that is what is tested


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.hits.append(self.path)
        self.server.hosts.append(self.headers["Host"])
        PAGES[self.path.strip("/").partition("?")[0].partition("-")[0]](self)

    def give(self, status=200, body=None, **headers):
        body = self.server.picture if body is None else body
        self.send_response(status)
        for name, value in {"Content_Type": "image/jpeg", "Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def redirect(self, to, status=302):
        self.give(status, b"", Location=to)

    def drip(self, data, pause_s):
        for _ in range(1200):
            if self.server.ended.wait(pause_s):
                return
            self.wfile.write(data)
            self.wfile.flush()

    def slow_body(self):
        self.give(200, b"", Content_Length=5000)
        self.drip(b"x", 0.05)

    def slow_head(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self.drip(b"x", 0.05)

    def endless(self):
        self.give(200, b"", Content_Length=None)
        self.drip(bytes(64 << 10), 0)

    def log_message(self, *_):
        pass


PAGES = {
    "picture": lambda page: page.give(),
    "untyped": lambda page: page.give(Content_Type=None),
    "plain": lambda page: page.give(Content_Type="text/html; charset=utf-8"),
    "gzip": lambda page: page.give(Content_Encoding="gzip"),
    "short": lambda page: page.give(Content_Length=10**6),
    "large": lambda page: page.give(200, b"", Content_Length=10**10),
    "gone": lambda page: page.give(404),
    "garbage": lambda page: page.wfile.write(b"\x00garbage\r\n\r\n"),
    "endless": Page.endless,
    "slow_body": Page.slow_body,
    "slow_head": Page.slow_head,
    "silent": lambda page: page.server.ended.wait(60),
    "loop": lambda page: page.redirect("/loop"),
    "twice": lambda page: page.redirect("/once", 307),
    "once": lambda page: page.redirect("/picture", 301),
    "nowhere": lambda page: page.redirect("file:///etc/passwd"),
    "inside": lambda page: page.redirect(f"http://inside.test:{page.server.server_port}/picture"),
    "unlisted": lambda page: page.redirect(f"http://127.0.0.1:{page.server.server_port + 1}/picture"),
    "metadata": lambda page: page.redirect("http://169.254.169.254/latest"),
    "again": lambda page: page.redirect("/picture-again"),
}


@contextmanager
def listening(picture, context=None):
    server = Listener(picture)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def listener(jpeg):
    with listening(jpeg) as server:
        yield server


def resolver(*answers):
    """Gives these answers in turn, the last for ever; a list of addresses each."""
    left = list(answers)

    def resolve(host, port):
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def fetcher(*entries, resolve=fetch.addresses, deadline_s=60.0, max_bytes=MB):
    return Fetcher(listed=entries, max_bytes=max_bytes, resolve=resolve, deadline_s=deadline_s)


@pytest.fixture
def here(listener):
    """(page, **options) fetches it from the listener, which is listed by its address."""

    def get(page, **options):
        entry = allow.entry(f"http://127.0.0.1:{listener.server_port}")
        return fetcher(entry, **options).get(f"http://127.0.0.1:{listener.server_port}/{page}")

    return get


# ---- what comes ----------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["picture", "picture?a=1&b=%20", "untyped", "once", "twice"])
def test_picture_of_a_listed_host_comes(here, jpeg, page):
    assert here(page) == jpeg


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("gone", "answered 404"),
        ("plain", "sent no picture but 'text/html"),
        ("gzip", "compressed"),
        ("large", "larger than 1 MB"),
        ("endless", "larger than"),
        ("short", r"gave no picture \(IncompleteRead\)"),
        ("garbage", "gave no picture"),
        ("loop", "redirects more than 3 times"),
    ],
)
def test_what_is_no_picture_is_said(here, page, words):
    with pytest.raises(FetchFailed, match=words):
        here(page)


@pytest.mark.parametrize("page", ["slow_body", "slow_head", "silent"])
def test_slow_server_is_left_at_the_deadline(here, page):
    start = time.monotonic()
    with pytest.raises(FetchTooSlow, match=r"within 0\.5 s"):
        here(page, deadline_s=0.5)
    assert time.monotonic() - start < 30  # each of them goes on for a minute


def test_slow_resolver_is_left_at_the_deadline(listener):
    entry = Entry("http", "slow.test", listener.server_port, private=True)
    with pytest.raises(FetchTooSlow):
        fetcher(entry, resolve=lambda *_: listener.ended.wait(60), deadline_s=0.3).get(
            f"http://slow.test:{entry.port}/"
        )


def test_nobody_listens(free_port):
    with pytest.raises(FetchFailed, match="ConnectionRefusedError"):
        fetcher(allow.entry(f"http://127.0.0.1:{free_port}")).get(f"http://127.0.0.1:{free_port}/")


@pytest.mark.parametrize("error", [OSError(), UnicodeError()])
def test_name_without_an_address_is_said(error):
    def resolve(host, port):
        raise error

    with pytest.raises(FetchFailed, match="gone.test has no address"):
        fetcher(allow.entry("gone.test"), resolve=resolve).get("https://gone.test/a.jpg")


# ---- S11: addresses that lead inside -------------------------------------------------------

INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.0.0.1",
    "172.17.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.8",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "no address",
]


@pytest.mark.parametrize("address", INSIDE)
def test_listed_name_that_leads_inside_is_refused_and_nobody_is_asked(listener, address):
    entry = Entry("http", "pictures.test", listener.server_port, private=False)
    for answer in ([address], ["8.8.8.8", address]):
        with pytest.raises(UrlNotAllowed, match="leads to an address that is not public"):
            fetcher(entry, resolve=resolver(answer)).get(f"http://pictures.test:{entry.port}/picture")
    assert listener.hits == []


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1", "2a00:1450::1"])
def test_public_address_is_public(address):
    assert allow.public(address)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1"])
def test_private_name_never_leads_to_a_cloud_s_secrets(address):
    assert not allow.reachable(address, allow.entry("http://store.internal:9000"))


HOSTS = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "0.0.0.0",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "127.0.0.1.",
    "192.0.2.2",
    "172.17.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "[fd00::1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "user@127.0.0.1",
    "pictures.test@127.0.0.1",
    "pictures.test:80@127.0.0.1",
    "pictures.test\\@127.0.0.1",
    "127.0.0.1\\pictures.test",
    "pictures.test#@127.0.0.1",
    "pictures.test%00.127.0.0.1",
    "pictures.test.127.0.0.1.nip.io",
    "sub.pictures.test",
    "pictures.test.",
    "pictures。test",
    "ⓟictures.test",
    "127.0.0.1%0d%0aX:",
    " 127.0.0.1",
    "127.0.0.1\r\nX: y",
    "127.0.0.1\t",
    "",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_host_that_is_not_listed_is_refused_and_nobody_is_asked(listener, host, scheme):
    for url in (f"{scheme}://{host}:{listener.server_port}/picture", f"{scheme}://{host}/picture"):
        with pytest.raises((BadRequest, UrlNotAllowed)):
            fetcher(allow.entry("pictures.test"), allow.entry("http://pictures.test")).get(url)
    assert listener.hits == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pictures.test/a.jpg",
        "//pictures.test/a.jpg",
        "file:///etc/passwd",
        "ftp://pictures.test/a",
        "gopher://pictures.test/a",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "HTTPS://pictures.test/a",
        "https:/pictures.test/a",
        "https:pictures.test",
        "https://pictures.test:0/",
        "https://pictures.test:65536/",
        "https://pictures.test:/",
        "https://pictures.test:443:443/",
        "https://pictures.test/a b",
        "https://pictures.test/ä",
        "https://pictures.test/a\r\nHost: x",
        "https://pictures.test/a\x00",
        "https://pictures.test/a#b",
        "https://-pictures.test/",
        "https://pictures..test/",
        "https://[::g]/",
        f"https://{'a' * 254}/",
        "https://pictures.test/" + "a" * 2048,
    ],
)
def test_url_that_is_odd_is_a_bad_request(url):
    with pytest.raises(BadRequest):
        fetcher(allow.entry("pictures.test")).get(url)


@pytest.mark.parametrize("url", ["http://pictures.test/", "https://pictures.test:8443/", "http://pictures.test:443/"])
def test_listed_host_is_https_on_its_port_and_nothing_else(url):
    with pytest.raises(UrlNotAllowed):
        fetcher(allow.entry("pictures.test")).get(url)


# ---- S12: redirects and names that change --------------------------------------------------


@pytest.mark.parametrize("page", ["inside", "unlisted", "metadata", "nowhere"])
def test_redirect_to_elsewhere_is_refused(listener, page):
    port = listener.server_port
    entries = allow.entry(f"http://127.0.0.1:{port}"), Entry("http", "inside.test", port, private=False)
    with pytest.raises((UrlNotAllowed, BadRequest)):
        fetcher(*entries, resolve=resolver(["127.0.0.1"])).get(f"http://127.0.0.1:{port}/{page}")
    assert listener.hits == [f"/{page}"]


def test_connection_goes_to_the_address_that_was_checked(listener, jpeg):
    entry = Entry("http", "only-ours-knows.test", listener.server_port, private=True)
    found = fetcher(entry, resolve=resolver(["127.0.0.1"], ["127.0.0.9"]))
    assert found.get(f"http://only-ours-knows.test:{entry.port}/picture") == jpeg
    assert listener.hosts == [f"only-ours-knows.test:{entry.port}"]


def test_name_that_changes_before_a_redirect_is_checked_again(listener):
    entry = Entry("http", "rebind.test", listener.server_port, private=True)
    with pytest.raises(UrlNotAllowed):
        fetcher(entry, resolve=resolver(["127.0.0.1"], ["169.254.169.254"])).get(
            f"http://rebind.test:{entry.port}/again"
        )
    assert listener.hits == ["/again"]


def test_second_address_is_tried_when_the_first_does_not_answer(listener, jpeg):
    entry = Entry("http", "two.test", listener.server_port, private=True)
    found = fetcher(entry, resolve=resolver(["127.0.0.9", "127.0.0.1"]))
    assert found.get(f"http://two.test:{entry.port}/picture") == jpeg


# ---- TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with key and certificate of good.test, which signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "good.test")])
    names = [x509.DNSName("good.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    signed = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "good.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate, jpeg):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(jpeg, context) as server:
        yield server


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    fetch._trust.cache_clear()
    yield
    fetch._trust.cache_clear()


def over_tls(server, host):
    entry = Entry("https", host, server.server_port, private=True)
    return fetcher(entry, resolve=resolver(["127.0.0.1"])).get(f"https://{host}:{entry.port}/picture")


def test_picture_comes_over_tls(trusted, secure, jpeg):
    assert over_tls(secure, "good.test") == jpeg


def test_certificate_of_another_name_is_refused(trusted, secure):
    with pytest.raises(FetchFailed, match="SSLCertVerificationError"):
        over_tls(secure, "other.test")
    assert secure.hits == []


def test_certificate_that_nobody_vouches_for_is_refused(secure):
    fetch._trust.cache_clear()
    with pytest.raises(FetchFailed, match="SSLCertVerificationError"):
        over_tls(secure, "good.test")


def test_server_without_tls_is_refused(trusted, listener):
    with pytest.raises(FetchFailed, match="SSL"):
        over_tls(listener, "good.test")


# ---- through the server --------------------------------------------------------------------


@pytest.fixture
def guarded(serving, tiny, listener, s3):
    """A client of a server that may fetch from the listener, and read one of the buckets."""
    with serving(tiny, url_allow=f"http://127.0.0.1:{listener.server_port}", s3_allow="photos", max_body_mb=1) as app:
        yield app.test_client()


def outcome(answer):
    return answer.status_code, answer.json.get("code")


def test_url_and_s3_give_bit_equal_answers(guarded, listener, s3, jpeg):
    s3.put_object(Bucket="photos", Key="a/ä b.jpg", Body=jpeg)
    ways = [{"url": f"http://127.0.0.1:{listener.server_port}/picture"}, {"s3": "s3://photos/a/ä b.jpg"}]
    wanted = guarded.post("/classify", data=jpeg, content_type="image/jpeg").json["predictions"]
    assert [guarded.post("/classify", json=way).json["predictions"] for way in ways] == [wanted, wanted]


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("gone", (422, "fetch-failed")),
        ("plain", (422, "fetch-failed")),
        ("endless", (422, "fetch-failed")),
        ("metadata", (403, "url-not-allowed")),
        ("nowhere", (400, "bad-request")),
    ],
)
def test_what_came_instead_has_a_code(guarded, listener, page, wanted):
    answer = guarded.post("/classify", json={"url": f"http://127.0.0.1:{listener.server_port}/{page}"})
    assert outcome(answer) == wanted


def test_slow_server_is_a_504(guarded, listener, monkeypatch):
    sources = guarded.application.extensions["imago.sources"]
    monkeypatch.setattr(sources, "_fetcher", fetcher(*sources._fetcher.listed, deadline_s=0.2))
    answer = guarded.post("/classify", json={"url": f"http://127.0.0.1:{listener.server_port}/silent"})
    assert outcome(answer) == (504, "fetch-too-slow")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"s3": "s3://photos/gone"}, (422, "fetch-failed")),
        ({"s3": "s3://models/a.jpg"}, (403, "s3-not-allowed")),
        ({"s3": "s3://photos.evil/a.jpg"}, (403, "s3-not-allowed")),
        ({"s3": "s3://photos"}, (400, "bad-request")),
        ({"s3": "s3://photos/"}, (400, "bad-request")),
        ({"s3": "https://photos/a"}, (400, "bad-request")),
        ({"s3": "s3://photos/a\n"}, (400, "bad-request")),
        ({"s3": "s3://photos/\ud800"}, (400, "bad-request")),
        ({"s3": "s3://photos/" + "a" * 1025}, (400, "bad-request")),
        ({"s3": 1}, (400, "bad-request")),
        ({"s3": "s3://photos/a", "url": "https://a/"}, (400, "bad-request")),
        ({"s3": "s3://photos/a", "image": "AAAA"}, (400, "bad-request")),
        ({"url": ["https://a/"]}, (400, "bad-request")),
        ({"url": "file:///etc/passwd"}, (400, "bad-request")),
        ({"url": "https://a/"}, (403, "url-not-allowed")),
    ],
)
def test_bad_name_of_a_picture_has_a_code(guarded, content, wanted):
    assert outcome(guarded.post("/classify", json=content)) == wanted


def test_object_over_the_limit_is_refused_before_it_is_read(guarded, s3):
    s3.put_object(Bucket="photos", Key="large", Body=bytes(MB + 1))
    answer = guarded.post("/classify", json={"s3": "s3://photos/large"})
    assert (outcome(answer), "larger than 1 MB" in answer.json["detail"]) == ((422, "fetch-failed"), True)


@pytest.mark.parametrize(
    ("content", "code"),
    [({"url": "https://example.com/a.jpg"}, "url-not-allowed"), ({"s3": "s3://photos/a"}, "s3-not-allowed")],
)
def test_nothing_is_fetched_by_default(client, content, code):
    assert outcome(client.post("/classify", json=content)) == (403, code)


def test_half_of_the_threads_stay_free_of_others_servers(serving, tiny, listener):
    url = f"http://127.0.0.1:{listener.server_port}"
    with serving(tiny, url_allow=url, request_threads=2) as app:
        first = threading.Thread(
            target=app.test_client().post, args=("/classify",), kwargs={"json": {"url": url + "/silent"}}
        )
        first.start()
        while not listener.hits:
            time.sleep(0.01)
        assert outcome(app.test_client().post("/classify", json={"url": url + "/picture"})) == (503, "busy")
        listener.ended.set()
        first.join(60)


@pytest.mark.parametrize(
    "text", ["a b", "http://", "ftp://a", "a/b", "*.example.com", "https://a:99999", "1.2.3", "a.", "[::1"]
)
def test_entry_that_is_no_host_is_refused(text):
    assert allow.entry(text) is None


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("Pictures.Example", Entry("https", "pictures.example", 443, private=False)),
        ("http://a.example", Entry("http", "a.example", 80, private=False)),
        ("https://a.example", Entry("https", "a.example", 443, private=False)),
        ("a.example:8443", Entry("https", "a.example", 8443, private=False)),
        ("http://store:9000", Entry("http", "store", 9000, private=True)),
        ("10.0.0.5", Entry("https", "10.0.0.5", 443, private=True)),
        ("http://[::1]:80", Entry("http", "::1", 80, private=True)),
    ],
)
def test_entry_says_scheme_host_port_and_whether_it_is_private(text, entry):
    assert allow.entry(text) == entry
