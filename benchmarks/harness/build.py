# SPDX-License-Identifier: Apache-2.0
"""Builds the load server and the clients."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
BUILD = Path(os.environ.get("BUILD", ROOT / ".build")).resolve()
WORK = BUILD / "bench"
GO_SOURCES = Path("/usr/share/gocode/src")


class Absent(Exception):
    """What a client needs and is not there."""


class Broken(Exception):
    """What should have been built and was not."""


def run(command: list, **options) -> None:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if result.returncode:
        raise Broken(f"{' '.join(map(str, command[:2]))} failed: {(result.stderr or result.stdout).strip()[-600:]}")


def outdated(target: Path, *sources: Path) -> bool:
    return not target.exists() or any(s.stat().st_mtime > target.stat().st_mtime for s in sources)


def compile_c(target: str, sources: list, flags: list = (), libraries: list = (), compiler: str = "gcc") -> Path:
    output = WORK / target
    files = [HERE / source for source in sources]
    if outdated(output, *files, *HERE.glob("clients/c/*.h"), *HERE.glob("server/*.h"), *HERE.glob("fanout/*.h"),
                *ROOT.glob("include/*.h")):
        run([compiler, "-O2", "-g", "-Wall", *flags, "-o", output, *files, *libraries])
    return output


def library() -> Path:
    """The library to measure, in a folder of its own with the links that a linker wants."""
    given = os.environ.get("PULSEWS_LIBRARY")
    path = Path(given) if given else Path(os.environ.get("DIST", ROOT / "dist")) / "libpulsews.so.0"
    if not path.exists():
        sys.exit(f"benchmarks: {path} is not there; `make library` builds it, or $PULSEWS_LIBRARY names another one")
    folder = WORK / "lib"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "libpulsews.so.0"
    shutil.copy2(path.resolve(), folder / "new")
    os.replace(folder / "new", copy)
    link = folder / "libpulsews.so"
    if not link.is_symlink():
        link.symlink_to(copy.name)
    return copy


def certificate() -> tuple:
    files = WORK / "certificate.pem", WORK / "key.pem"
    if not all(file.exists() for file in files):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:TRUE", "-out", files[0], "-keyout", files[1]])
    return files


def server() -> Path:
    return compile_c("load", ["server/load.c", "server/connection.c"], ["-Wextra"], ["-lssl", "-lcrypto"])


def raw() -> list:
    return [compile_c("raw", ["clients/c/raw.c"], ["-Wextra"], ["-lssl", "-lcrypto"])]


def pulsews_c() -> list:
    folder = WORK / "lib"
    return [compile_c("pulsews", ["clients/c/pulsews.c"], ["-Wextra", f"-I{ROOT / 'include'}"],
                      [f"-L{folder}", "-lpulsews", f"-Wl,-rpath,{folder}", "-ldl"])]


def allocation_counter() -> Path:
    return compile_c("allocations.so", ["clients/c/allocations.c"], ["-shared", "-fPIC"])


def beast() -> list:
    if not Path("/usr/include/boost/beast.hpp").exists():
        raise Absent("no /usr/include/boost/beast.hpp; benchmarks/setup installs it")
    return [compile_c("beast", ["clients/cpp/beast.cpp"], ["-std=c++17"], ["-lssl", "-lcrypto", "-lpthread"], "g++")]


def python() -> str:
    own = BUILD / "venv-bench/bin/python"
    return str(own) if own.exists() else sys.executable


def pulsews_python(*variant: str) -> list:
    return [python(), HERE / "clients/python/pulsews_client.py", "{}", *variant]


def picows() -> list:
    try:
        run([python(), "-c", "import picows, uvloop"])
    except Broken:
        raise Absent("no picows or no uvloop; benchmarks/setup installs them") from None
    return [python(), HERE / "clients/python/picows_client.py"]


def go(name: str, needs: list, group: str = "bench") -> list:
    """Built in GOPATH mode: the sources stay where they are, and no module is looked for anywhere."""
    tool = shutil.which("go") or next(
        (str(p) for p in (BUILD / "venv/bin/go", BUILD / "venv-bench/bin/go") if p.exists()), None)
    if not tool:
        raise Absent("no go; benchmarks/setup installs it")
    for need in needs:
        if not (GO_SOURCES / need).exists():
            raise Absent(f"no {GO_SOURCES / need}; benchmarks/setup installs it")
    path = WORK / "gopath"
    for link, folder in (("bench", HERE / "clients/go"), ("fanout", HERE / "fanout/go"), ("pulsews.dev/go", ROOT / "bindings/go")):
        place = path / "src" / link
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(folder)
    output = WORK / f"go-{group}-{name}"
    run([tool, "build", "-o", output, f"{group}/{name}"], cwd=path / "src",
        env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local",
             "CGO_ENABLED": "1", "GOPATH": f"{path}:{GO_SOURCES.parent}", "GOCACHE": str(WORK / "gocache")})
    return [output]


CLIENTS = {
    "raw C": raw,
    "PulseWS C": pulsews_c,
    "Beast": beast,
    "PulseWS Python": pulsews_python,
    "PulseWS Python aio": lambda: pulsews_python("aio"),
    "picows": picows,
    "PulseWS Go": lambda: go("pulsews", []),
    "gorilla": lambda: go("gorilla", ["github.com/gorilla/websocket"]),
}


# ---- The fan-out benchmark

def fanout_load() -> Path:
    return compile_c("fanout-load", ["fanout/fanout_load.c"], ["-Wextra"], ["-lssl", "-lcrypto", "-lz"])


def fanout_return() -> Path:
    return compile_c("fanout-return", ["fanout/fanout_return.c"], ["-Wextra"])


def fanout_raw() -> list:
    return [compile_c("fanout-raw", ["fanout/raw.c"], ["-Wextra"], ["-lcrypto", "-lz"])]


def fanout_hub() -> list:
    folder = WORK / "lib"
    return [compile_c("fanout-hub", ["fanout/hub.c"], ["-Wextra", f"-I{ROOT / 'include'}"],
                      [f"-L{folder}", "-lpulsews", f"-Wl,-rpath,{folder}"])]


def fanout_uwebsockets() -> list:
    source = WORK / "uWebSockets"
    if not (source / "src/App.h").exists():
        raise Absent("no source; UWEBSOCKETS=FOLDER benchmarks/setup takes it from a checkout with its submodule uSockets")
    sockets, flags = source / "uSockets/src", ["-O2", "-DLIBUS_USE_OPENSSL", "-w", f"-I{source / 'uSockets/src'}"]
    output = WORK / "fanout-uwebsockets"
    program = HERE / "fanout/uwebsockets.cpp"
    if outdated(output, program, HERE / "fanout/fanout.h", source / "src/App.h"):
        units = [*sockets.glob("*.c"), sockets / "eventing/epoll_kqueue.c", sockets / "crypto/openssl.c"]
        objects = []
        for unit in units:
            objects.append(WORK / f"us-{unit.stem}.o")
            run(["gcc", *flags, "-c", unit, "-o", objects[-1]])
        run(["g++", "-std=c++20", *flags, f"-I{source / 'src'}", "-o", output, program, sockets / "crypto/sni_tree.cpp", *objects,
             "-lssl", "-lcrypto", "-lz", "-lpthread"])
    return [output]


def websockets() -> list:
    try:
        run([python(), "-c", "import websockets.asyncio.server"])
    except Broken:
        raise Absent("no websockets; benchmarks/setup installs it") from None
    return [python(), HERE / "fanout/broadcast.py"]


SERVERS = {
    "raw": fanout_raw,
    "hub": fanout_hub,
    "hub pulse.v1": fanout_hub,
    "uWebSockets": fanout_uwebsockets,
    "gorilla": lambda: go("gorilla", ["github.com/gorilla/websocket"], "fanout"),
    "websockets": websockets,
}
