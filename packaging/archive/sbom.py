# SPDX-License-Identifier: Apache-2.0
"""What the programs of a build consist of, as a bill of materials in CycloneDX's JSON."""
import hashlib
import re
import subprocess
import sys

SWIFT = "Apache-2.0 WITH Swift-exception"
GCC = "GPL-3.0-or-later WITH GCC-exception-3.1"
GLIBC = ("glibc", "LGPL-2.1-or-later")
# The libraries that are linked at run time: what they belong to, and its license.
SYSTEM = {"libssl.so.3": ("OpenSSL", "Apache-2.0"), "libcrypto.so.3": ("OpenSSL", "Apache-2.0"), "libz.so.1": ("zlib", "Zlib"),
          "libcurl.so.4": ("curl", "curl"), "libstdc++.so.6": ("libstdc++", GCC), "libgcc_s.so.1": ("libgcc", GCC),
          "libc.so.6": GLIBC, "libm.so.6": GLIBC, "libpthread.so.0": GLIBC, "ld-linux-x86-64.so.2": GLIBC}
# packaging/licenses has the texts.
LICENSES = {"swift-argument-parser": SWIFT, "swift-log": "Apache-2.0", "TOMLKit": "MIT"}
# Of the header in TOMLKit of that version.
TOMLPLUSPLUS = "3.4.0"


def needed(file):
    listed = subprocess.run(["readelf", "--dynamic", "--wide", file], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", listed)


def swift_version():
    told = subprocess.run(["swiftc", "--version"], check=True, capture_output=True, text=True)
    return re.search(r"Swift version ([0-9.]+)", told.stdout + told.stderr)[1]


def packages(root):
    """The daemon's: (address, version), which its manifest pins."""
    text = (root / "tools/pulsews-hub/Package.swift").read_text()
    found = re.findall(r'\.package\(url: "([^"]+)", exact: "([^"]+)"\)', text)
    if len(found) != text.count(".package("):
        sys.exit("archive: a package of the daemon has no exact version")
    return found


def icu_version(daemon):
    """Of the ICU in Foundation, which names its data by it."""
    found = re.search(rb"\0icudt(\d+)l\0", daemon.read_bytes())
    if not found:
        sys.exit(f"archive: {daemon} has no ICU; packaging/archive/sbom.py and packaging/licenses say it has")
    return found[1].decode()


def component(reference, kind, name, version, license_id, **more):
    """`license_id`: of SPDX, or an expression."""
    row = {"type": kind, "bom-ref": reference, "name": name}
    if version:
        row["version"] = version
    row["licenses"] = [{"expression": license_id} if " " in license_id else {"license": {"id": license_id}}]
    return {**row, **more}


def own(reference, kind, file, version):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return component(reference, kind, reference, version, "Apache-2.0", hashes=[{"alg": "SHA-256", "content": digest}])


def bill(root, version, library, daemon):
    swift = swift_version()
    rows = [own("libpulsews", "library", library, version), own("pulsews-hub", "application", daemon, version),
            component("swift-embedded", "library", "Swift standard library, embedded mode", swift, SWIFT,
                      description="inside libpulsews"),
            component("swift", "library", "Swift standard library, Foundation and libdispatch", swift, SWIFT,
                      description="inside pulsews-hub"),
            component("icu", "library", "ICU", icu_version(daemon), "Unicode-3.0", description="inside pulsews-hub, part of Foundation"),
            component("tomlplusplus", "library", "toml++", TOMLPLUSPLUS, "MIT", description="inside pulsews-hub, part of TOMLKit")]
    depends = {"libpulsews": ["swift-embedded"], "pulsews-hub": ["libpulsews", "swift"], "swift": ["icu"], "TOMLKit": ["tomlplusplus"]}
    for address, pinned in packages(root):
        name = address.rsplit("/", 1)[1]
        if name not in LICENSES:
            sys.exit(f"archive: packaging/archive/sbom.py has no licence of {name}")
        rows.append(component(name, "library", name, pinned, LICENSES[name], description="inside pulsews-hub",
                              externalReferences=[{"type": "vcs", "url": address}]))
        depends["pulsews-hub"].append(name)
    sonames = {}
    for reference, file in (("libpulsews", library), ("pulsews-hub", daemon)):
        sonames[reference] = [name for name in needed(file) if name != "libpulsews.so.0"]
        depends[reference] += sonames[reference]
    for name in sorted({name for names in sonames.values() for name in names}):
        if name not in SYSTEM:
            sys.exit(f"archive: packaging/archive/sbom.py does not know what {name} belongs to")
        owner, license_id = SYSTEM[name]
        rows.append(component(name, "library", owner, "", license_id,
                              description=f"linked at run time by its soname, {name}; it is the system's, and not in the archive",
                              scope="required", properties=[{"name": "soname", "value": name}]))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": component("pulsews", "framework", "pulsews", version, "Apache-2.0")},
            "components": rows,
            "dependencies": [{"ref": "pulsews", "dependsOn": ["libpulsews", "pulsews-hub"]},
                             *({"ref": name, "dependsOn": sorted(on)} for name, on in depends.items())]}
