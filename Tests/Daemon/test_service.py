# SPDX-License-Identifier: Apache-2.0
"""What a service manager does with a daemon: notification, watchdog, sockets that it made before."""
import socket
import ssl

import pytest
from daemons import check, get
from websockets.exceptions import ConnectionClosed

HUB = '[hub]\nlisten = ["127.0.0.1:0"]\ndrain_spread = 0\n'


@pytest.mark.parametrize("manager", ["path", "abstract"], indirect=True)
def test_the_manager_is_told(start, manager):
    daemon = start(HUB, environment={"NOTIFY_SOCKET": manager.name})
    assert manager.recv().startswith(b"READY=1\nSTATUS=1 sockets, 0 feeds")
    daemon.reload()
    told = manager.recv()
    assert told.startswith(b"RELOADING=1\nMONOTONIC_USEC=") and int(told.split(b"=")[-1]) > 0
    assert manager.recv().startswith(b"READY=1")
    daemon.signal()
    assert manager.recv() == b"STOPPING=1"
    assert daemon.wait() == 0


def test_the_watchdog_is_fed(start, manager):
    start(HUB, environment={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000"})
    told = [manager.recv() for _ in range(6)]
    assert sum(message.startswith(b"READY=1") for message in told) == 1
    assert told.count(b"WATCHDOG=1") == 5


def test_without_a_watchdog_it_is_quiet(start, manager):
    daemon = start(HUB, environment={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    manager.recv()
    daemon.signal()
    assert manager.recv() == b"STOPPING=1"


def activated(start, listeners, text="[hub]\ndrain_spread = 0\n", count=None, names="", **options):
    """A daemon with these sockets as its descriptors from 3 on."""
    numbers = [listener.fileno() for listener in listeners]
    moves = "; ".join(f"exec {40 + index}<&{number}" for index, number in enumerate(numbers))
    moves += "; " + "; ".join(f"exec {3 + index}<&{40 + index}; exec {40 + index}<&-" for index in range(len(numbers)))
    script = f'{moves}; export LISTEN_FDS={count or len(numbers)}; export LISTEN_FDNAMES={names}; export LISTEN_PID=$$; exec "$@"'
    return start(text, command=("bash", "-c", script, "bash"), pass_fds=numbers, **options)


def test_sockets_of_the_manager(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.socket(socket.AF_UNIX) as two:
        two.bind(str(tmp_path / "hub.sock"))
        two.listen()
        address = f"127.0.0.1:{one.getsockname()[1]}"
        daemon = activated(start, [one, two])
        assert daemon.address == address
        daemon.wait_for("fd:4")
        assert daemon.request("/ws/health", address=address)[0] == 200
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "hub.sock"))
            connection.sendall(b"GET /ws/health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        with daemon.peer(address=address) as peer:
            get(peer, "welcome")
            daemon.signal()
            with pytest.raises(ConnectionClosed) as closed:
                peer.recv(20)
            assert closed.value.rcvd.code == 1012
        assert daemon.wait() == 0
        # Who comes meanwhile waits for the next one.
        with socket.create_connection(("127.0.0.1", one.getsockname()[1])) as waiting:
            waiting.sendall(b"GET /ws/health HTTP/1.1\r\nHost: h\r\n\r\n")
            waiting.settimeout(20)
            activated(start, [one])
            assert waiting.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_sockets_beside_those_of_the_configuration(start):
    with socket.create_server(("127.0.0.1", 0)) as one:
        daemon = activated(start, [one], HUB)
        address = f"127.0.0.1:{one.getsockname()[1]}"
        daemon.wait_for(address)
        assert daemon.address != address
        assert daemon.request("/ws/health")[0] == 200
        assert daemon.request("/ws/health", address=address)[0] == 200


def test_a_socket_of_the_name_wss_has_tls(start, certificates):
    ca, chain, key = certificates[0]
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as secure:
        text = f"[hub]\ncertificate = '{chain}'\ncertificate_key = '{key}'\n"
        daemon = activated(start, [plain, secure], text, names="web:wss")
        assert daemon.request("/ws/health", address=f"127.0.0.1:{plain.getsockname()[1]}")[0] == 200
        address = f"localhost:{secure.getsockname()[1]}"
        with daemon.peer(scheme="wss", address=address, ssl=ssl.create_default_context(cafile=ca)) as peer:
            assert get(peer, "welcome")
    with socket.create_server(("127.0.0.1", 0)) as secure:
        daemon = activated(start, [secure], names="wss", ready=False)
        assert daemon.wait() == 1
    assert "wss:// needs option certificate" in daemon.output


def test_a_descriptor_that_does_not_listen(start):
    with socket.socket() as idle:
        daemon = activated(start, [idle], ready=False)
        assert daemon.wait() == 1
    assert "descriptor 3 of LISTEN_FDS is no stream socket that listens" in daemon.output


def test_descriptors_of_another_process_are_left_alone(start):
    daemon = start("[hub]\nname = 'x'\n", ready=False, environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert daemon.wait() == 2
    assert "nothing to listen at" in daemon.output


def test_proxy_protocol_at_sockets_of_the_manager(start):
    with socket.create_server(("127.0.0.1", 0)) as one:
        activated(start, [one], "[hub]\nproxy_protocol = true\ntrusted_proxy = '127.0.0.1'\n")
        with socket.create_connection(one.getsockname()) as connection:
            connection.sendall(b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\nGET /ws/health HTTP/1.1\r\nHost: h\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_check_needs_no_sockets(tmp_path):
    path = tmp_path / "hub.toml"
    path.write_text("[hub]\nproxy_protocol = true\ntrusted_proxy = '127.0.0.1'\nlisten = '127.0.0.1:0'\n")
    assert check(path).returncode == 0
