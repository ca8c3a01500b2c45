# SPDX-License-Identifier: Apache-2.0
"""Runs one side of the Autobahn test suite on loopback. Python 2.7, because the suite is written in it.

    python2.7 suite.py PACKAGES server OUTDIR CASES            for client libraries; prints "listening on 127.0.0.1:PORT"
    python2.7 suite.py PACKAGES client OUTDIR CASES AGENT URL  against the server at URL

PACKAGES is the folder that the suite was installed into, CASES a comma-separated list of patterns such as "6.*". The suite's
own command listens on all addresses and cannot take a free port from the system, hence this one.
"""
from __future__ import print_function

import site
import sys

packages, role, outdir, cases = sys.argv[1:5]
# Not PYTHONPATH: namespace packages (zope) need the .pth files.
site.addsitedir(packages)

from autobahntestsuite import choosereactor  # noqa: E402,F401  chooses on import, so before Twisted
from autobahntestsuite import fuzzing  # noqa: E402
from twisted.internet import reactor  # noqa: E402

spec = {"outdir": outdir, "cases": cases.split(","), "exclude-cases": [], "exclude-agent-cases": {}}
if role == "server":
    spec["url"] = "ws://127.0.0.1:9001"
    factory = fuzzing.FuzzingServerFactory(spec)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    # It compares the Host header with its URL.
    factory.setSessionParameters(url="ws://127.0.0.1:%d" % port, server=factory.server)
    print("listening on 127.0.0.1:%d" % port)
else:
    spec["servers"] = [{"agent": sys.argv[5], "url": sys.argv[6]}]
    factory = fuzzing.FuzzingClientFactory(spec)  # connects by itself, ends the reactor after the last case
sys.stdout.flush()
reactor.run()
