# SPDX-License-Identifier: Apache-2.0
"""The wheel as docs/INSTALL.md makes and installs it, and programs that run with nothing of the checkout around them."""
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, DIST = (pathlib.Path(os.environ[name]) for name in ("BUILD", "DIST"))
TOOLS = BUILD / "venv" / "bin"
BOTH_ENDS = pathlib.Path(__file__).parent / "both_ends.py"
LIBRARY = (DIST / "libpulsews.so.0").resolve()
VERSION = LIBRARY.name.partition(".so.")[2]
FILE = f"pulsews-{VERSION}-py3-none-manylinux_2_34_x86_64.whl"
# A namespace of mounts for one command; who is not root becomes it in there.
ALONE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
HIDE = 'mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,' \
       'workdir=/mnt/work" overlay "$1" && rm "$1"/libssl.so.3 && shift && exec "$@"'


def commands():
    """The blocks of shell commands of the section on the wheel."""
    section = (ROOT / "docs" / "INSTALL.md").read_text().split("### The wheel\n")[1].split("\n### ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.S | re.M)


def without_openssl(*command):
    """The command, on a system that has lost libssl."""
    return [*ALONE, "sh", "-c", HIDE, "sh", "/usr/lib/x86_64-linux-gnu", *map(str, command)]


def run(command, **options):
    """What it prints; an assertion that shows it if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def build(folder, root=ROOT, **environment):
    """By the script that make runs."""
    values = dict(os.environ, BUILD=str(BUILD), DIST=str(DIST), VERSION=VERSION, **environment)
    run(["bash", "-c", f'umask {environment.get("UMASK", "022")}; exec "$0" "$1"', root / "packaging/wheel/build.sh", folder], env=values)
    return folder / FILE


class Environment:
    """A virtual environment outside of the checkout."""

    def __init__(self, folder, interpreter=sys.executable):
        self.folder = folder
        self.bin = folder / "env" / "bin"
        self.interpreter = interpreter
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python3").symlink_to(interpreter)  # what the commands' `python3` is
        (folder / "dist").symlink_to(DIST)

    @property
    def values(self):
        """The environment of its programs: no library's path, no Swift, no package of the checkout."""
        return {"PATH": str(self.bin), "HOME": str(self.folder), "LANG": "C.UTF-8"}

    def shell(self, lines):
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return run(["bash", "-euc", lines], cwd=self.folder, env=dict(self.values, PATH=path, PIP_DISABLE_PIP_VERSION_CHECK="1"))

    def install(self):
        return self.shell(commands()[1])

    @property
    def package(self):
        return next(self.bin.parent.glob("lib/python*/site-packages")) / "pulsews"

    def command(self, *arguments):
        return [str(self.bin / "python"), "-I", *map(str, arguments)]

    def python(self, *arguments, **more):
        """(exit status, output) of its Python."""
        done = subprocess.run(self.command(*arguments), cwd=self.folder, env=dict(self.values, **more), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def both_ends(self, folder, *words, **more):
        """What a hub and clients in one process found."""
        status, output = self.python(BOTH_ENDS, folder, *words, **more)
        assert status == 0, output
        return json.loads(output)

    def files(self):
        """Path -> content of all that is installed; for links where they lead."""
        return {path: os.readlink(path) if path.is_symlink() else path.read_bytes()
                for path in sorted(self.bin.parent.rglob("*")) if path.is_symlink() or path.is_file()}
