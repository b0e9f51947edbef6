"""The server of one page, as a browser and as others on this machine would ask it."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from http.client import HTTPConnection
from io import BytesIO
from threading import Thread
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

import captum_blocks as cb
from captum_blocks import serving
from captum_blocks.compose.pictures import icons
from captum_blocks.render.payload import pack_signs
from captum_blocks.store import Store
from tests.conftest import FEW_STEPS


@pytest.fixture
def stream(
    small: cb.Network, small_x: torch.Tensor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> cb.Stream:
    monkeypatch.setattr(icons, "BATCH", 1)
    monkeypatch.setattr(serving, "PATIENCE", 0.5)
    how = {"quality": FEW_STEPS, "progress": False, "store": store}
    ui = cb.FeatureVis(cb.Hidden("late").channels[:3])
    return cb.explain(ui, small, small_x, stream=True, **how)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def server(stream: cb.Stream) -> Iterator[serving.PageServer]:
    made = serving.PageServer(stream)
    yield made
    stream.close()
    made.close()


class Answer:
    """What one request is answered."""

    def __init__(self, server: serving.PageServer, path: str = "", **how: object) -> None:
        address = urlsplit(server.address)
        self.connection = HTTPConnection(str(address.hostname), address.port, timeout=60)
        method, body = str(how.get("method", "GET")), how.get("body")
        headers = {"Host": str(how["host"])} if "host" in how else {}
        whole = str(how.get("whole", address.path + path))
        self.connection.request(method, whole, body, headers)  # type: ignore[arg-type]
        self.response = self.connection.getresponse()

    @property
    def status(self) -> int:
        return self.response.status

    def line(self) -> dict[str, object]:
        return json.loads(self.response.readline())  # type: ignore[no-any-return]


def test_the_page_has_its_numbers_and_may_ask_this_server_alone(server: serving.PageServer) -> None:
    answer = Answer(server)
    page = unescape(answer.response.read().decode())
    assert answer.status == 200
    assert "0 of 3 pictures are drawn" in page
    assert "connect-src 'self'" in page
    assert "default-src 'none'" in page
    assert answer.response.headers["Cache-Control"] == "no-store"
    assert answer.response.headers["Referrer-Policy"] == "no-referrer"
    saved = server.stream.now.html()
    assert "connect-src" not in saved
    assert "fetch(" not in saved


@pytest.mark.parametrize("path", ["", "pictures"])
def test_a_wrong_token_is_refused(server: serving.PageServer, path: str) -> None:
    for token in ("", "x" * 32, "%00", "..", "é"):
        answer = Answer(server, whole=f"/{token.encode('ascii', 'ignore').decode()}/{path}")
        assert answer.status == 403
        assert b"pictures are drawn" not in answer.response.read()
    assert Answer(server, whole="/").status == 403


def test_another_name_for_this_machine_is_refused(server: serving.PageServer) -> None:
    """A page elsewhere may have its own name point here."""
    port = urlsplit(server.address).port
    for host in (f"example.org:{port}", f"localhost:{port}", "127.0.0.1"):
        assert Answer(server, host=host).status == 403


def test_only_this_machine_is_answered(server: serving.PageServer) -> None:
    assert server.address.startswith("http://127.0.0.1:")
    assert server._server.socket.getsockname()[0] == "127.0.0.1"


def test_two_servers_have_two_tokens_and_ports(
    server: serving.PageServer, stream: cb.Stream
) -> None:
    other = serving.PageServer(stream)
    assert urlsplit(other.address).port != urlsplit(server.address).port
    assert urlsplit(other.address).path != urlsplit(server.address).path
    other.close()


def test_pictures_come_as_they_are_drawn(server: serving.PageServer, stream: cb.Stream) -> None:
    answer = Answer(server, "pictures")
    thread = Thread(target=stream.result)
    thread.start()
    for number in range(3):
        told = answer.line()
        name = str(told["name"])
        sprite = stream.now.scene.sprites[name]
        assert told["words"][0] == sprite.label
        with Image.open(BytesIO(b64decode(str(told["picture"])))) as image:
            assert image.size == (told["width"], told["height"]) == sprite.pixels.shape[1::-1]
            shown = np.asarray(image.convert("RGB")).astype(float)
        assert np.abs(shown - sprite.pixels).mean() < 12
        assert number < 3
    assert answer.line() == {"ended": "", "signs": pack_signs(stream.now.scene)}
    assert answer.response.readline() == b""
    thread.join()


def test_a_second_tab_gets_all_that_is_drawn_already(
    server: serving.PageServer, stream: cb.Stream
) -> None:
    first = Answer(server, "pictures")
    stream.step()
    stream.step()
    assert first.line()["name"]
    second = Answer(server, "pictures")
    assert second.line()["name"] in stream.now.scene.sprites
    stream.result()
    for answer, left in ((first, 2), (second, 2)):
        names = [answer.line().get("name") for _ in range(left + 1)]
        assert names[-1] is None
        assert len(set(names)) == left + 1


def test_what_the_page_points_at_is_drawn_next(
    server: serving.PageServer, stream: cb.Stream
) -> None:
    stream.step()
    last = stream.now.scene.undrawn[-1]
    body = json.dumps({"wanted": last})
    assert Answer(server, "reader", method="POST", body=body).status == 200
    stream.step()
    assert last not in stream.now.scene.undrawn


@pytest.mark.parametrize(
    "body", ["", "[]", "nonsense", '{"wanted": 3}', '{"wanted": "no such"}', "[" * 2000]
)
def test_what_the_page_would_not_say_is_not_heard(
    server: serving.PageServer, stream: cb.Stream, body: str
) -> None:
    assert Answer(server, "reader", method="POST", body=body).status == 200
    stream.result()


def test_too_much_is_refused(server: serving.PageServer) -> None:
    body = json.dumps({"wanted": "x" * serving.MOST_SAID})
    assert Answer(server, "reader", method="POST", body=body).status == 404
    assert Answer(server, "elsewhere").status == 404


def test_a_reader_who_goes_away_does_not_stop_the_work(
    server: serving.PageServer, stream: cb.Stream
) -> None:
    answer = Answer(server, "pictures")
    stream.step()
    stream.step()
    answer.line()
    answer.response.close()
    assert stream.result().scene.undrawn == ()
    assert Answer(server).status == 200


def test_it_waits_for_readers_and_tells_whether_there_were_some(
    stream: cb.Stream, server: serving.PageServer
) -> None:
    assert not serving.PageServer(stream).close()
    answer = Answer(server, "pictures")
    stream.result()
    assert server.close()
    names = {answer.line().get("name") for _ in range(3)}
    assert names == set(stream.now.scene.sprites)


def test_where_there_is_no_display_no_browser_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not serving.show("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "line",
    [
        b"GET foo HTTP/1.1",
        b"GET * HTTP/1.1",
        b"nonsense",
        b"POST / HTTP/1.1",
        b"PUT / HTTP/1.1",
        b"",
    ],
)
def test_requests_that_are_none_are_passed_over_in_silence(
    server: serving.PageServer, capfd: pytest.CaptureFixture[str], line: bytes
) -> None:
    host = server._server.server_address
    with socket.create_connection(host[:2], timeout=60) as made:  # type: ignore[arg-type]
        made.sendall(line + b"\r\n\r\n")
        made.settimeout(60)
        assert b"200 OK" not in made.recv(4096)
    assert Answer(server).status == 200
    assert capfd.readouterr() == ("", "")


def test_a_length_that_is_none_is_refused(server: serving.PageServer) -> None:
    address = urlsplit(server.address)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=60)
    headers = {"Content-Length": "9" * 5000}
    connection.request("POST", address.path + "reader", None, headers)
    assert connection.getresponse().status == 404


def test_the_address_without_its_end_leads_to_the_page(server: serving.PageServer) -> None:
    answer = Answer(server, whole=urlsplit(server.address).path.rstrip("/"))
    assert (answer.status, answer.response.headers["Location"]) == (308, server.address)


def test_a_browser_of_the_terminal_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BROWSER", "/usr/bin/w3m %s")
    assert not serving.show("http://127.0.0.1:1/")


def idle(server: serving.PageServer, said: bytes = b"") -> socket.socket:
    """A connection that asks for nothing."""
    made = socket.create_connection(("127.0.0.1", urlsplit(server.address).port), timeout=30)
    made.sendall(said)
    return made


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: "], ids=["silent", "slow"])
def test_many_idle_connections_take_few_threads_and_leave_the_reader_alone(
    server: serving.PageServer, stream: cb.Stream, said: bytes
) -> None:
    reader = Answer(server, "pictures")
    stream.step()
    stream.step()
    assert reader.line()["name"]
    before = threading.active_count()
    many = [idle(server, said) for _ in range(100)]
    page = Answer(server)
    assert b"pictures are drawn" in page.response.read()
    # The page has been answered, so that all before it have been accepted.
    assert threading.active_count() - before <= serving.MOST_CONNECTIONS
    assert len(server._server._known) <= serving.MOST_CONNECTIONS
    assert many[0].recv(1) == b"", "the oldest has been closed"
    many[-1].settimeout(0.2)
    with pytest.raises(TimeoutError):  # the newest is still waited for
        many[-1].recv(1)
    stream.result()
    names = [reader.line().get("name") for _ in range(3)]
    assert set(names) - {None} < set(stream.now.scene.sprites)
    assert names[-1] is None
    for each in many:
        each.close()


def test_readers_are_not_closed_for_others(
    server: serving.PageServer, stream: cb.Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 2)
    readers = [Answer(server, "pictures") for _ in range(2)]
    refused = idle(server)
    assert refused.recv(1) == b""
    stream.result()
    for reader in readers:
        lines = [reader.line() for _ in range(4)]
        assert lines[-1] == {"ended": "", "signs": pack_signs(stream.now.scene)}
    refused.close()
    assert Answer(server).status == 200, "there is room again"


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"x" * 2**20,
        b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 2**20,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(2**16)),
    ],
    ids=["a path", "a header", "headers"],
)
def test_who_says_too_much_is_not_listened_to(server: serving.PageServer, said: bytes) -> None:
    talker = idle(server)
    answered = b""
    with suppress(ConnectionError):  # it is closed while it talks
        talker.sendall(said)
        answered = talker.recv(2**16)
    assert not answered.startswith(b"HTTP/1.0 200")
    talker.close()
    assert Answer(server).status == 200
