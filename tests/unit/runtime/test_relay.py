"""Real sockets on both sides of the wire."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_dora.runtime.relay import Fault, Relay


class Echo:
    """A server that sends back what it gets, and remembers how its clients left."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.accepted = 0
        self.saw_end = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.accepted += 1
                threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)
            self.saw_end.set()
            client.sendall(b"bye")

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname())


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


Dial = Callable[[], socket.socket]


@pytest.fixture
def relay(echo: Echo) -> Iterator[Relay]:
    relay = Relay(echo.connect)
    yield relay
    relay.close()


@pytest.fixture
def dial(relay: Relay) -> Iterator[Dial]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    address = listener.getsockname()
    relay.serve(listener)
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(address, timeout=5))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def ask(client: socket.socket, data: bytes = b"hello") -> bytes:
    client.sendall(data)
    return read(client, len(data))


def read(client: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = client.recv(size - len(got))
        if not piece:
            break
        got += piece
    return got


def is_reset(dial: Dial) -> bool:
    """Whether a new connection is cut, rather than ended in good order."""
    try:
        with dial() as client:
            ask(client)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bytes_pass_both_ways_whole_and_in_order(dial: Dial) -> None:
    data = bytes(range(256)) * 20_000
    client = dial()
    threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
    assert read(client, len(data)) == data


def test_many_connections_do_not_mix(dial: Dial) -> None:
    clients = [dial() for _ in range(50)]
    for number, client in enumerate(clients):
        client.sendall(b"%04d" % number)
    assert [read(client, 4) for client in clients] == [b"%04d" % n for n in range(50)]


def test_a_half_closed_connection_still_answers(dial: Dial, echo: Echo) -> None:
    client = dial()
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert read(client, 100) == b"last wordsbye"
    assert echo.saw_end.is_set()


def test_a_client_that_leaves_ends_the_other_side(dial: Dial, echo: Echo, relay: Relay) -> None:
    client = dial()
    ask(client)
    client.close()
    assert echo.saw_end.wait(5)
    wait_for(lambda: relay.connections == 0)


def test_clients_that_die_leave_the_way_open_for_the_next(dial: Dial) -> None:
    """A killed client resets its connection, and its descriptor is soon another's."""
    for _ in range(40):
        client = dial()
        assert ask(client) == b"hello"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


def test_a_dead_other_end_resets_the_client() -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError

    relay = Relay(refuse)
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    relay.serve(listener)
    try:
        assert is_reset(lambda: socket.create_connection(address, timeout=5))
    finally:
        relay.close()


def test_one_relay_serves_several_listeners(relay: Relay, dial: Dial) -> None:
    second = socket.create_server(("127.0.0.1", 0))
    address = second.getsockname()
    relay.serve(second)
    with socket.create_connection(address, timeout=5) as client:
        assert ask(client) == b"hello"
    assert ask(dial()) == b"hello"


def test_reset_cuts_what_is_open_and_what_comes_until_mended(relay: Relay, dial: Dial) -> None:
    client = dial()
    ask(client)
    relay.inject(Fault.RESET)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert is_reset(dial)
    relay.inject(Fault.NONE)
    assert ask(dial()) == b"hello"


def test_a_blackhole_swallows_until_mended_and_loses_nothing(
    relay: Relay, dial: Dial, echo: Echo
) -> None:
    client = dial()
    ask(client)
    relay.inject(Fault.BLACKHOLE)
    client.sendall(b"later")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1)
    dial()  # accepted, but led nowhere
    assert echo.accepted == 1
    relay.inject(Fault.NONE)
    client.settimeout(5)
    assert read(client, 5) == b"later"


def test_latency_holds_back_every_piece(relay: Relay, dial: Dial) -> None:
    client = dial()
    ask(client)
    relay.inject(Fault.LATENCY, seconds=0.1)
    started = time.monotonic()
    assert ask(client) == b"hello"
    assert time.monotonic() - started >= 0.2  # there and back


@pytest.mark.parametrize("fault", list(Fault))
def test_closing_ends_everything_at_once_whatever_is_broken(
    relay: Relay, dial: Dial, fault: Fault
) -> None:
    client = dial()
    ask(client)
    relay.inject(fault)
    before = threading.active_count()
    relay.close()
    relay.close()
    assert threading.active_count() < before
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        dial()
    with pytest.raises(RuntimeError):
        relay.inject(Fault.NONE)


def test_more_connections_than_are_held_are_reset(
    relay: Relay, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_dora.runtime.relay._CONNECTIONS", 2)
    kept = [dial(), dial()]
    assert [ask(client) for client in kept] == [b"hello", b"hello"]
    assert is_reset(dial)
    assert ask(kept[0]) == b"hello"
