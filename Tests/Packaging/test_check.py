# SPDX-License-Identifier: Apache-2.0
"""`make release-check` itself: that it sees what is written where it does not belong, and says what is missing."""
import os
import re
import shutil
import subprocess

from wheels import ROOT

PACKAGING = ROOT / "packaging"
AS_ROOT = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


def run(*command, **values):
    """(exit status, what it says)"""
    done = subprocess.run([*AS_ROOT, *map(str, command)], env={**os.environ, **values}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_what_is_written_elsewhere_is_named_and_undone(tmp_path):
    own = tmp_path / "build"
    own.mkdir()
    script = 'echo >/etc/pulsews-left; rm /usr/share/common-licenses/Apache-2.0; mkdir /tmp/left; echo >"$BUILD/own"; ip -br link'
    status, output = run(PACKAGING / "watched.sh", "sh", "-c", script, BUILD=str(own), DIST=str(tmp_path))
    network, _, told = output.partition("watched: ")
    assert status == 1 and re.findall(r"^\S+", network, re.M) == ["lo"], output
    assert sorted(told.splitlines()[1:]) == ["/etc/pulsews-left", "/tmp/left", "/usr/share/common-licenses/Apache-2.0"]
    assert (own / "own").exists() and not os.path.exists("/etc/pulsews-left")
    assert os.path.exists("/usr/share/common-licenses/Apache-2.0")


def test_what_leaves_nothing_passes(tmp_path):
    script = 'echo >/tmp/one; rm /tmp/one; mkdir /var/cache/pulsews-other; rmdir /var/cache/pulsews-other'
    assert run(PACKAGING / "watched.sh", "sh", "-c", script, BUILD=str(tmp_path), DIST=str(tmp_path)) == (0, "")
    assert run(PACKAGING / "watched.sh", "sh", "-c", "exit 3", BUILD=str(tmp_path), DIST=str(tmp_path))[0] == 3


def test_a_missing_interpreter_is_named(tmp_path):
    """With a PATH that has none, but the tools of the script."""
    for tool in ("bash", "env", "dirname", "id", "sed"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    classifiers = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "bindings/python/pyproject.toml").read_text())
    assert len(classifiers) >= 5
    values = {"PATH": str(tmp_path), "PULSEWS_PYTHONS": ""}
    status, output = run(shutil.which("bash"), PACKAGING / "check.sh", "wheel", **values)
    assert (status, output) == (1, f"release: no CPython {' '.join(classifiers)} on the PATH, of pyenv or of uv: install it, or name "
                                   "what to take instead: make release-check PULSEWS_PYTHONS='PATH PATH'\n")
    status, output = run(shutil.which("bash"), PACKAGING / "check.sh", "wheel", **{**values, "PULSEWS_PYTHONS": f"{tmp_path}/none"})
    assert (status, output) == (1, f"release: {tmp_path}/none is no Python that runs\n")


def test_a_kind_that_is_none_is_refused():
    assert run(PACKAGING / "check.sh", "wheel", "sheep") == (1, "release: what is 'sheep'? There are: abi wheel archive go deb\n")
