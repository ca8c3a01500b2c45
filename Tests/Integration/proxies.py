# SPDX-License-Identifier: Apache-2.0
"""Proxies for the tests, and servers that write down what they are asked.

Squid, tinyproxy, Dante and microsocks, and nginx and haproxy in front of a hub, run as programs of their own, each with a
folder of its own; `Script` and `Web`
are threads that do what a test tells them."""
import base64
import hashlib
import os
import pathlib
import pwd
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

PATIENCE = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Program:
    """A proxy program that listens on ports of its own; ended by its process."""

    def __init__(self, tool, *ports):
        self.path = shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        assert self.path, f"{tool} is not installed; .ci/setup.sh does that"
        # Some of them drop the rights of root: the folder is for everybody, and so is the way to it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pulsews-proxy-", dir="/tmp"))
        self.folder.chmod(0o777)
        self.process = None
        self.ports = ports
        self.port = ports[0]

    def start(self, *arguments):
        log = open(self.folder / "output", "wb")
        self.process = subprocess.Popen([self.path, *map(str, arguments)], cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=subprocess.STDOUT)
        log.close()
        end = time.monotonic() + PATIENCE
        while not all(answers(port) for port in self.ports):
            said = (self.folder / "output").read_text(errors="replace")
            assert self.process.poll() is None, f"{self.path} ended: {said}"
            assert time.monotonic() < end, f"{self.path} does not listen: {said}"
            time.sleep(0.02)
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def tinyproxy(login=None):
    proxy = Program("tinyproxy", free_port())
    lines = [f"Port {proxy.port}", "Listen 127.0.0.1", "Timeout 60", "Filter \"" + str(proxy.folder / "filter") + "\""]
    if login:
        lines.append("BasicAuth %s %s" % login)
    (proxy.folder / "filter").write_text("^denied\\.example$\n")
    (proxy.folder / "conf").write_text("\n".join(lines) + "\n")
    return proxy.start("-d", "-c", proxy.folder / "conf")


def squid(certificates, login=None, hosts=""):
    """Its second port speaks TLS."""
    plain, secure = free_port(), free_port()
    proxy = Program("squid", plain, secure)
    for source, name in (("chain", "chain.pem"), ("key", "key.pem")):
        shutil.copy(certificates[source], proxy.folder / name)
        (proxy.folder / name).chmod(0o644)
    (proxy.folder / "hosts").write_text("127.0.0.1 localhost\n" + hosts)
    lines = [
        f"http_port 127.0.0.1:{plain}",
        f"https_port 127.0.0.1:{secure} tls-cert={proxy.folder}/chain.pem tls-key={proxy.folder}/key.pem",
        f"pid_filename {proxy.folder}/pid", f"coredump_dir {proxy.folder}", f"access_log stdio:{proxy.folder}/access",
        f"cache_log {proxy.folder}/cache", f"hosts_file {proxy.folder}/hosts", "cache deny all", "netdb_filename none",
        "shutdown_lifetime 0 seconds", "visible_hostname proxy.example", "acl denied dstdomain denied.example",
        "http_access deny denied", "via off", "max_filedescriptors 1024"]
    if login:
        digest = subprocess.run(["openssl", "passwd", "-apr1", login[1]], check=True, capture_output=True, text=True)
        (proxy.folder / "passwords").write_text(f"{login[0]}:{digest.stdout}")
        lines += [f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {proxy.folder}/passwords",
                  "auth_param basic children 1", "acl known proxy_auth REQUIRED", "http_access allow known"]
    else:
        lines.append("http_access allow all")
    lines.append("http_access deny all")
    if os.geteuid() == 0:
        user = pwd.getpwnam("proxy")
        os.chown(proxy.folder, user.pw_uid, user.pw_gid)
    (proxy.folder / "conf").write_text("\n".join(lines) + "\n")
    proxy.secure_port = secure
    return proxy.start("-N", "-f", proxy.folder / "conf")


def dante():
    proxy = Program("danted", free_port())
    (proxy.folder / "conf").write_text(f"""logoutput: stderr
internal: 127.0.0.1 port = {proxy.port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: {pwd.getpwuid(os.geteuid()).pw_name}
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 127.0.0.0/8 to: 127.0.0.9/32 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
""")
    return proxy.start("-f", proxy.folder / "conf")


def microsocks(login=None):
    proxy = Program("microsocks", free_port())
    return proxy.start("-i", "127.0.0.1", "-p", proxy.port, *(("-u", login[0], "-P", login[1]) if login else ()))


def nginx(text):
    """In front of a hub. `text` has the contents of `http`, and listens at port 80."""
    proxy = Program("nginx", free_port())
    places = "".join(f"{kind}_temp_path {proxy.folder}/{kind};\n"
                     for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (proxy.folder / "conf").write_text(
        f"daemon off;\npid {proxy.folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{places}"
        + text.replace("listen 80;", f"listen 127.0.0.1:{proxy.port};") + "}\n")
    return proxy.start("-e", "stderr", "-p", proxy.folder, "-c", proxy.folder / "conf")


def haproxy(text):
    """In front of a hub. `text` is the configuration, and listens at port 80."""
    proxy = Program("haproxy", free_port())
    (proxy.folder / "conf").write_text(text.replace("bind :80", f"bind 127.0.0.1:{proxy.port}"))
    return proxy.start("-db", "-f", proxy.folder / "conf")


class Listener:
    """A server whose connections run in threads of their own; `serve(connection)` is what they do."""

    def __init__(self, chain=None, key=None, family=socket.AF_INET):
        self.context = None
        if chain:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(chain, key)
        self.socket = socket.socket(family)
        self.socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        self.open = set()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            self.run(self.one, connection)

    def run(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments)
        self.threads.append(thread)
        thread.start()

    def keep(self, connection):
        with self.lock:
            self.open.add(connection)

    def one(self, connection):
        self.keep(connection)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                self.keep(connection)
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def drop(self):
        """Ends all connections."""
        with self.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open.clear()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.drop()
        for thread in self.threads:
            thread.join()


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(1)
        if not got:
            break
        head += got
    return head


def exactly(connection, count):
    data = b""
    while len(data) < count:
        got = connection.recv(count - len(data))
        if not got:
            raise OSError("ended")
        data += got
    return data


class Script(Listener):
    """A proxy that speaks CONNECT, or SOCKS5, knows names of its own, and writes down what it is asked."""

    def __init__(self, kind="http", names=None, answer=None, failing=(), **options):
        self.kind, self.names, self.answer, self.failing = kind, names or {}, answer, set(failing)
        self.asked, self.heads = [], []
        super().__init__(**options)

    def serve(self, connection):
        answer = self.answer
        if answer is not None:
            if self.kind == "http":
                self.heads.append(read_head(connection).decode(errors="replace"))
            else:
                connection.recv(100)
            connection.sendall(answer)
            connection.recv(100)
            return
        if self.kind == "http":
            head = read_head(connection).decode(errors="replace")
            self.heads.append(head)
            host, _, port = head.split(" ")[1].rpartition(":")
            done = b"HTTP/1.1 200 Connection established\r\nX-Proxy: here\r\n\r\n"
        else:
            connection.sendall(b"\x05\x00") if exactly(connection, exactly(connection, 2)[1]) else None
            _, _, _, kind = exactly(connection, 4)
            if kind == 3:
                host = exactly(connection, exactly(connection, 1)[0]).decode()
            else:
                host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6,
                                        exactly(connection, 4 if kind == 1 else 16))
            port = int.from_bytes(exactly(connection, 2), "big")
            done = b"\x05\x00\x00\x03\x04name\x00\x01"
        self.asked.append((host, int(port)))
        if host in self.failing:
            connection.sendall(b"\x05\x04\x00\x01\0\0\0\0\0\0")
            return
        target = socket.create_connection((self.names.get(host, host.strip("[]")), int(port)), timeout=PATIENCE)
        self.keep(target)
        connection.sendall(done)
        if self.context:
            return self.pass_on_both(connection, target)
        self.run(self.pass_on, target, connection)
        self.pass_on(connection, target)

    @staticmethod
    def pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def pass_on_both(one, other):
        """Both ways on one thread: OpenSSL's object behind a TLS socket is not for two."""
        ways = {one: other, other: one}
        try:
            while ways:
                held = [source for source in ways if isinstance(source, ssl.SSLSocket) and source.pending()]
                ready = held or select.select(list(ways), [], [], PATIENCE)[0]
                if not ready:
                    return
                for source in ready:
                    if data := source.recv(65536):
                        ways[source].sendall(data)
                    else:
                        ways.pop(source).shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # closed by `drop`
            pass


class Web(Listener):
    """A WebSocket server that redirects by path, and writes down the heads of all requests; to those it accepts it
    sends the text "hi"."""

    def __init__(self, redirects=None, **options):
        self.redirects, self.heads = redirects or {}, []
        super().__init__(**options)

    def serve(self, connection):
        head = read_head(connection).decode(errors="replace")
        self.heads.append(head)
        path = head.split(" ")[1]
        if path in self.redirects:
            status, location = self.redirects[path]
            connection.sendall((f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nSet-Cookie: a=b\r\n"
                                "Content-Length: 4\r\n\r\n").encode())
            connection.recv(1)
            return
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x02hi")
        # A close frame, or the end.
        connection.recv(4096)
