# SPDX-License-Identifier: Apache-2.0
"""What the programs of a build consist of, as a bill of materials in CycloneDX's JSON."""
import hashlib
import re
import subprocess
import sys

# Of the libraries that are linked at run time, and what they belong to.
SYSTEM = {"libssl.so.3": "OpenSSL", "libcrypto.so.3": "OpenSSL", "libz.so.1": "zlib", "libcurl.so.4": "curl"}
LICENSES = {"swift-argument-parser": "Apache-2.0", "swift-log": "Apache-2.0", "TOMLKit": "MIT"}


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


def component(reference, kind, name, version, license_id="", **more):
    row = {"type": kind, "bom-ref": reference, "name": name}
    if version:
        row["version"] = version
    if license_id:
        row["licenses"] = [{"license": {"id": license_id}}]
    return {**row, **more}


def own(reference, kind, file, version):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return component(reference, kind, reference, version, "Apache-2.0", hashes=[{"alg": "SHA-256", "content": digest}])


def bill(root, version, library, daemon):
    swift = swift_version()
    rows = [own("libpulsews", "library", library, version), own("pulsews-hub", "application", daemon, version),
            component("swift-embedded", "library", "Swift standard library, embedded mode", swift, "Apache-2.0",
                      description="inside libpulsews"),
            component("swift", "library", "Swift standard library and Foundation", swift, "Apache-2.0",
                      description="inside pulsews-hub")]
    depends = {"libpulsews": ["swift-embedded"], "pulsews-hub": ["libpulsews", "swift"]}
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
        rows.append(component(name, "library", SYSTEM.get(name, "system"), "",
                              description=f"linked at run time by its soname, {name}; it is the system's, and not in the archive",
                              scope="required", properties=[{"name": "soname", "value": name}]))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": component("pulsews", "framework", "pulsews", version, "Apache-2.0")},
            "components": rows,
            "dependencies": [{"ref": "pulsews", "dependsOn": ["libpulsews", "pulsews-hub"]},
                             *({"ref": name, "dependsOn": sorted(on)} for name, on in depends.items())]}
