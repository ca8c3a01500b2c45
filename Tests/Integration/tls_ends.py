# SPDX-License-Identifier: Apache-2.0
"""Certificates of every kind, and the TLS ends that nobody here wrote: openssl s_server, nginx, haproxy, stunnel.

Each end listens on a socket that was made here and is inherited, or tells its port: no port is guessed, and a connection
that comes early waits in the backlog.
"""
import base64
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading

import pytest

NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
KEYS = {"P-256": EC, "RSA-2048": ["-newkey", "rsa:2048", "-nodes"], "RSA-4096": ["-newkey", "rsa:4096", "-nodes"]}
CA_SETTINGS = """
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


def program(name):
    """The path of a program that .ci/setup.sh installs; daemons are often not on the PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        pytest.fail(f"{name} is missing; .ci/setup.sh installs it")
    return found


def acceptance(key):
    """The answer to a WebSocket handshake with that key."""
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + GUID).digest()) + b"\r\n\r\n")


class Authorities:
    """Certificates as files of a folder: NAME.pem and NAME.key."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "ca.cnf").write_text(CA_SETTINGS)
        (folder / "index.txt").write_text("")
        for name in ("root", "foreign"):
            self.authority(name)
        self.issue("between", "root", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", names=None)
        self.issue("good", "root")
        self.issue("chained", "between")
        self.issue("expired", "root", dates=("20200101000000Z", "20200201000000Z"))
        self.issue("early", "root", dates=("20900101000000Z", "20910101000000Z"))
        self.issue("elsewhere", "root", names="DNS:elsewhere.example,DNS:*.other.example,IP:192.0.2.7")
        self.issue("localhost", "root", names=None)
        self.issue("mail", "root", "extendedKeyUsage=emailProtection")
        self.issue("by-a-server", "good")
        self.issue("bot", "root", "extendedKeyUsage=clientAuth", names=None)
        self.issue("old-bot", "root", "extendedKeyUsage=clientAuth", names=None, dates=("20200101000000Z", "20200201000000Z"))
        self.issue("strange-bot", "foreign", "extendedKeyUsage=clientAuth", names=None)
        self.openssl("req", "-x509", *EC, "-days", "2", "-subj", "/CN=alone", "-addext", f"subjectAltName={NAMES}",
                     "-keyout", "alone.key", "-out", "alone.pem")
        self.openssl("pkey", "-in", "bot.key", "-aes128", "-passout", "pass:open sesame", "-out", "locked-bot.key")
        for name in ("good", "chained", "bot", "alone"):
            pem = self.read(name + ".pem") + self.read(name + ".key")
            if name == "chained":
                pem = self.read("chained.pem") + self.read("between.pem") + self.read("chained.key")
            (folder / f"{name}-and-key.pem").write_text(pem)

    def openssl(self, *arguments):
        subprocess.run([program("openssl"), *map(str, arguments)], cwd=self.folder, check=True, capture_output=True)

    def read(self, name):
        return (self.folder / name).read_text()

    def authority(self, name):
        self.openssl("req", "-x509", *EC, "-days", "2", "-subj", f"/O=Pulse/CN={name}", "-keyout", f"{name}.key",
                     "-out", f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, authority, extensions="extendedKeyUsage=serverAuth", names=NAMES, dates=None, key=EC):
        self.openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / f"{name}.ext").write_text((f"subjectAltName={names}\n" if names else "") + extensions + "\n")
        if dates:  # other than from now on: only "ca" takes them in every OpenSSL 3
            self.openssl("ca", "-batch", "-config", "ca.cnf", "-cert", f"{authority}.pem", "-keyfile", f"{authority}.key",
                         "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", "-startdate", dates[0],
                         "-enddate", dates[1], "-extfile", f"{name}.ext")
        else:
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                         "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")

    def path(self, name):
        return str(self.folder / name)

    def pin(self, name):
        """By the recipe that everyone uses."""
        key = subprocess.run([program("openssl"), "x509", "-in", self.path(f"{name}.pem"), "-noout", "-pubkey"],
                             check=True, capture_output=True).stdout
        der = subprocess.run([program("openssl"), "pkey", "-pubin", "-outform", "DER"], input=key, check=True,
                             capture_output=True).stdout
        return base64.b64encode(hashlib.sha256(der).digest()).decode()


class SServer:
    """openssl s_server, which speaks TLS and nothing else: a thread answers the WebSocket handshake through its standard
    streams, answers a close frame, and sends each message back that comes in one frame."""

    def __init__(self, folder, *options):
        self.process = subprocess.Popen(
            [program("openssl"), "s_server", "-accept", "127.0.0.1:0", *map(str, options)], cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        line = b""
        while not line.startswith(b"ACCEPT"):
            line = self.process.stdout.readline()
            assert line, f"s_server did not start: {self.said.decode(errors='replace')}"
            self.said += line
        self.port = int(line.rsplit(b":", 1)[1])
        self.url = f"wss://localhost:{self.port}/"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def send(self, data):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def serve(self):
        seen = 0
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            self.said += chunk
            while True:
                rest = self.said[seen:]
                asked = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n.*?\r\n\r\n", rest, re.S)
                closing = re.search(rb"\x88\x82(....)(..)", rest, re.S)
                message = re.search(rb"\x82\x85(....)(.....)", rest, re.S)
                first = min((found for found in (asked, closing, message) if found), key=lambda found: found.start(),
                            default=None)
                if not first:
                    break
                seen += first.end()
                if first is asked:
                    self.send(acceptance(asked[1]))
                else:
                    mask, payload = first[1], first[2]
                    plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
                    self.send((b"\x88\x02" if first is closing else b"\x82\x05") + plain)

    def count(self, words):
        return self.said.count(words.encode())

    def kill(self):
        """Its connections end without close_notify."""
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self):
        self.kill()
        self.thread.join(timeout=10)
        self.process.stdin.close()
        self.process.stdout.close()


class End:
    """A TLS end in front of a plain server. `configure` writes its files and returns the command."""

    def __init__(self, folder, backend, certificate, **settings):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"wss://localhost:{self.port}"
        self.folder = pathlib.Path(folder)
        self.fd = self.listener.fileno()
        self.log = open(self.folder / "log.txt", "wb")
        command, environment = self.configure(backend, certificate, settings)
        self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, pass_fds=[self.fd], env={**os.environ, **environment})
        # From now on it alone holds the socket: if it dies, connections are refused.
        self.listener.close()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Nginx(End):
    def configure(self, backend, certificate, settings):
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.folder / name).mkdir()
        # A worker of its own, as nginx with inherited sockets wants it; it reads what only this user may.
        user = "user root;" if os.geteuid() == 0 else ""
        verify = f"ssl_client_certificate {settings['client_ca']}; ssl_verify_client on;" if "client_ca" in settings else ""
        (self.folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; {user} pid {self.folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {certificate};
    ssl_protocols {settings.get("protocols", "TLSv1.2 TLSv1.3")}; ssl_session_cache shared:own:1m;
    {verify}
    location / {{
      proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1; proxy_read_timeout 60s;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host $host;
    }}
  }}
}}
""")
        # The variable by which nginx hands its sockets to a new version of itself.
        return ([program("nginx"), "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr"], {"NGINX": f"{self.fd};"})


class HAProxy(End):
    def configure(self, backend, certificate, settings):
        verify = f"ca-file {settings['client_ca']} verify required" if "client_ca" in settings else ""
        versions = "force-tlsv12" if settings.get("protocols") == "TLSv1.2" else "ssl-min-ver TLSv1.2"
        (self.folder / "haproxy.cfg").write_text(f"""
global
  maxconn 256
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
frontend tls
  bind fd@{self.fd} ssl crt {certificate} {versions} {verify}
  default_backend plain
backend plain
  server one 127.0.0.1:{backend}
""")
        return [program("haproxy"), "-db", "-f", "haproxy.cfg"], {}


class Stunnel(End):
    def configure(self, backend, certificate, settings):
        verify = f"CAfile = {settings['client_ca']}\nverifyChain = yes" if "client_ca" in settings else ""
        versions = "sslVersion = TLSv1.2" if settings.get("protocols") == "TLSv1.2" else "sslVersionMin = TLSv1.2"
        (self.folder / "stunnel.conf").write_text(f"""
foreground = yes
pid =
syslog = no
[tls]
accept = 127.0.0.1:{self.port}
connect = 127.0.0.1:{backend}
cert = {certificate}
{versions}
{verify}
""")
        # Sockets are inherited as systemd does it; the process names itself.
        moved = f"[ {self.fd} = 3 ] || exec 3<&{self.fd}; LISTEN_FDS=1 LISTEN_PID=$$ exec {program('stunnel')} stunnel.conf"
        return ["bash", "-c", moved], {}


ENDS = {"nginx": Nginx, "haproxy": HAProxy, "stunnel": Stunnel}
