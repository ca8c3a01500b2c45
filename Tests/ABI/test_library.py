# SPDX-License-Identifier: Apache-2.0
"""The file that ships: symbols, linkage, size, and what is installed from it."""
import os
import re
import subprocess
import sys

import pytest
from conftest import FOLDER, LIBRARY, ROOT, run

NEEDED = re.compile(r"^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libssl\.so\.\d+|libcrypto\.so\.\d+|libz\.so\.1|ld-linux.*)$")
GLIBC_FLOOR = (2, 17)


def test_exports_are_the_headers_functions(functions):
    symbols = [line.split() for line in run("nm", "-D", "--defined-only", LIBRARY).splitlines()]
    exported = {parts[-1].split("@")[0] for parts in symbols if parts[1] != "A"}  # A: the version node itself
    assert exported == set(functions)


def test_needs_no_runtime():
    dynamic = run("readelf", "-dW", LIBRARY)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert needed and [name for name in needed if not NEEDED.match(name)] == []
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    assert re.search(r"\(SONAME\).*\[libpulsews\.so\.0\]", dynamic)


def test_is_hardened():
    assert "BIND_NOW" in run("readelf", "-dW", LIBRARY) or "NOW" in run("readelf", "-dW", LIBRARY)
    segments = run("readelf", "-lW", LIBRARY)
    assert "GNU_RELRO" in segments
    assert not re.search(r"GNU_STACK.*\bRWE\b", segments)
    assert not re.search(r"^\s*LOAD\b.*\bRWE\b", segments, re.M)


def test_is_small_and_stripped():
    assert LIBRARY.stat().st_size < 750_000
    sections = run("readelf", "-SW", LIBRARY)
    assert ".symtab" not in sections and ".debug_info" not in sections and ".gnu_debuglink" in sections
    assert LIBRARY.with_name(LIBRARY.resolve().name + ".debug").exists()


@pytest.mark.parametrize("second, differs", [("3, 4, \"one\"", False), ("3, 5, \"one\"", True), ("3, 4, \"two\"", True)])
def test_build_refuses_weak_constants_that_differ(tmp_path, second, differs):
    """One name with two contents, in its bytes or behind a pointer: the linker would take one for both, without a word."""
    for name, values in ("first", "3, 4, \"one\""), ("second", second):
        source = tmp_path / f"{name}.c"
        source.write_text("struct constant { long a, b; const char *c; };\n"
                          f"extern const struct constant judgeTv_ __attribute__((weak));\n"
                          f"const struct constant judgeTv_ = {{ {values} }};\n"
                          f"const int plain __attribute__((weak)) = {len(name)};\n")
        run("gcc", "-fPIC", "-c", source, "-o", source.with_suffix(".o"))
    done = subprocess.run([sys.executable, str(ROOT / ".ci" / "weak_constants.py"), str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode != 0) == differs
    assert ("judgeTv_" in done.stderr and "the linker would take one content" in done.stderr) == differs
    assert "plain" not in done.stderr


def test_glibc_floor():
    versions = {tuple(map(int, found.split("."))) for found in re.findall(r"\bGLIBC_([\d.]+)", run("readelf", "-VW", LIBRARY))}
    floor = max(versions)
    print("needs glibc", floor)
    assert floor <= GLIBC_FLOOR


def test_no_path_of_the_build_machine():
    """Nor of its toolchain: of what is outside of the sources the symbols name the system's headers alone."""
    assert str(ROOT).encode() not in LIBRARY.resolve().read_bytes()
    symbols = LIBRARY.with_name(LIBRARY.resolve().name + ".debug").read_bytes()
    assert str(ROOT).encode() not in symbols
    paths = {path.decode() for path in re.findall(rb"(?<=\0)/[\w./+-]{3,}(?=\0)", symbols)}
    assert "/usr/include" in paths
    assert [path for path in paths if path != "/usr/include" and not path.startswith("/usr/include/")] == []


def test_loads_at_run_time(tmp_path):
    """dlopen with local symbols from a program that was not linked with it, in another thread, with nothing unresolved."""
    source = tmp_path / "load.c"
    source.write_text(r"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
static void *load(void *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) { puts(dlerror()); return NULL; }
    const char *(*version)(void) = (const char *(*)(void))dlsym(library, "pulsews_version");
    puts(version());
    return library;
}
int main(int argc, char **argv) {
    pthread_t thread;
    void *library = NULL;
    if (argc != 2 || pthread_create(&thread, NULL, load, argv[1]) || pthread_join(thread, &library)) return 2;
    return library == NULL;
}
""")
    run("gcc", source, "-o", tmp_path / "load", "-ldl", "-pthread")
    assert run(tmp_path / "load", LIBRARY, env={}).strip() == run_version()


def run_version():
    text = (ROOT / "include" / "pulsews.h").read_text()
    return ".".join(re.search(rf"#define PULSEWS_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR", "PATCH"))


APPLICATION = r"""
#include <pulsews_hub.h>
#include <stdio.h>
int main(void) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_client *client = NULL;
    if (pulsews_client_create("http://localhost/", NULL, NULL, &client, why, sizeof why) != PULSEWS_EURL) return 1;
    printf("%s\n", pulsews_version());
    return 0;
}
"""


def test_valgrind_reads_the_debug_file(tmp_path):
    """It must not give up, and what it tells must have names of functions and lines."""
    application = tmp_path / "application.c"
    # A jump that depends on a byte of the caller's that was never set, deep in the library.
    application.write_text(APPLICATION.replace('"http://localhost/"', "url").replace(
        "char why", "char *url = malloc(4);\n    memcpy(url + 1, \"s:\", 3);\n    char why", 1).replace(
        "#include <stdio.h>", "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"))
    run("gcc", "-g", application, f"-I{ROOT / 'include'}", f"-L{FOLDER}", "-lpulsews", "-o", tmp_path / "application")
    output = run("valgrind", tmp_path / "application", env=dict(os.environ, LD_LIBRARY_PATH=str(FOLDER)))
    assert "Giving up" not in output and "unhandled dwarf" not in output
    assert re.search(r"depends on uninitialised value", output)
    assert re.search(r"pulsews_client_create \(\w+\.swift:\d+\)", output)


def make(*arguments):
    values = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return run("make", "-C", ROOT, f"BUILD={os.environ['BUILD']}", f"DIST={FOLDER}", *arguments, env=values)


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_installs_builds_runs_and_uninstalls(tmp_path):
    version = run_version()
    prefix, application = tmp_path / "prefix", tmp_path / "application.c"
    application.write_text(APPLICATION)
    make("install", f"PREFIX={prefix}")
    wrapper = [f"include/pulsews/{path.name}" for path in (ROOT / "include" / "pulsews").iterdir()]
    expected = sorted([*wrapper, "include/pulsews.h",
                       "include/pulsews.hpp", "include/pulsews_hub.h", "lib/libpulsews.so", "lib/libpulsews.so.0",
                       f"lib/libpulsews.so.{version}", "lib/pkgconfig/pulsews.pc"])
    assert files_under(prefix) == expected
    config = dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib" / "pkgconfig"))
    assert run("pkg-config", "--modversion", "pulsews", env=config).strip() == version
    flags = run("pkg-config", "--cflags", "--libs", "pulsews", env=config).split()
    run("gcc", application, *flags, "-o", tmp_path / "application")
    # No Swift on the path, nothing but the library's own folder.
    output = run("env", "-i", f"LD_LIBRARY_PATH={prefix / 'lib'}", tmp_path / "application")
    assert output.strip() == version
    make("uninstall", f"PREFIX={prefix}")
    assert files_under(prefix) == [] and not (prefix / "include" / "pulsews").exists()


def test_installs_into_a_staging_folder(tmp_path):
    make("install", "PREFIX=/usr", "LIBDIR=/usr/lib/x86_64-linux-gnu", f"DESTDIR={tmp_path}")
    config = (tmp_path / "usr/lib/x86_64-linux-gnu/pkgconfig/pulsews.pc").read_text()
    assert "prefix=/usr\n" in config and "libdir=${prefix}/lib/x86_64-linux-gnu\n" in config
    assert str(tmp_path) not in config
    assert os.readlink(tmp_path / "usr/lib/x86_64-linux-gnu/libpulsews.so.0") == f"libpulsews.so.{run_version()}"
    make("uninstall", "PREFIX=/usr", "LIBDIR=/usr/lib/x86_64-linux-gnu", f"DESTDIR={tmp_path}")
    assert files_under(tmp_path) == []


def test_uninstall_says_what_it_removed(tmp_path):
    """Another prefix than that of the installation must not pass for success."""
    prefix = tmp_path / "prefix"
    nothing = make("uninstall", f"PREFIX={prefix}")
    assert f"nothing to remove: no file of pulsews {run_version()} in {prefix}/lib and {prefix}/include" in nothing
    assert "uninstalled" not in nothing
    make("install", f"PREFIX={prefix}")
    (prefix / "lib" / f"libpulsews.so.{run_version()}").unlink()  # what is left of it goes, too
    assert "uninstalled: 12 files" in make("uninstall", f"PREFIX={prefix}")
    assert files_under(prefix) == []
    assert "nothing to remove" in make("uninstall", f"PREFIX={prefix}")


def test_refuses_a_relative_prefix(tmp_path):
    done = subprocess.run(["make", "-C", str(ROOT), f"BUILD={os.environ['BUILD']}", f"DIST={FOLDER}", "install",
                           "PREFIX=relative", f"DESTDIR={tmp_path}"], capture_output=True, text=True)
    assert done.returncode != 0 and "absolute" in done.stderr
