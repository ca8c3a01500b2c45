# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. Everything that is built lies in $(BUILD) and $(DIST).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BUILD ?= .build
DIST ?= dist
ifneq ($(words $(BUILD) $(DIST)),2)
$(error BUILD and DIST are paths without a blank, not '$(BUILD)' and '$(DIST)')
endif
override BUILD := $(abspath $(BUILD))
override DIST := $(abspath $(DIST))
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR ?=

# The header states the version; nothing else does.
number = $(shell sed -n 's/^.define PULSEWS_VERSION_$(1) \([0-9]*\)$$/\1/p' include/pulsews.h)
VERSION := $(call number,MAJOR).$(call number,MINOR).$(call number,PATCH)
LIBRARY := $(DIST)/libpulsews.so.$(VERSION)
SOURCES := $(shell find Sources include -type f -not -name '*.hpp') Package.swift .ci/library.sh .ci/weak_constants.py
HUB := $(DIST)/pulsews-hub
HUB_SOURCES := $(shell find tools/pulsews-hub -type f -not -path '*/.build/*') .ci/hub.sh

PYTHON := $(BUILD)/venv/bin/python
# In the order in which they start.
SUITES := check runner unit abi asan python tsan daemon reproducible packaging integration go web fuzz-replay chaos exchanges
# Each is run by itself too, and ONLY picks tests of it.
ONLY ?=
override ONLY := $(value ONLY)
export ONLY

export BUILD DIST VERSION
# Only here: a `make install PREFIX=...` inside a test must not find the LIBDIR of the make around it.
install uninstall: export PREFIX := $(PREFIX)
install uninstall: export LIBDIR := $(LIBDIR)
install uninstall: export INCLUDEDIR := $(INCLUDEDIR)
install uninstall: export DESTDIR := $(DESTDIR)
export PULSEWS_LIBRARY := $(DIST)/libpulsews.so.0

##@ The two commands
.PHONY: demo test
demo: library hub page ## a local exchange, killed in the middle, a client each in C, Python and Go, a hub with its page: 20 s (CAPTURE=file SPEED=n replays a capture)
	@$(PYTHON) examples/demo.py --library $(DIST) --work $(BUILD)/demo

test: library hub page ## all tests, several suites at once; stops at the first broken part
	@$(PYTHON) .ci/suites.py $(SUITES)

##@ The source text
.PHONY: generate check format
generate: setup ## writes what comes from contract/: tables, types, shims, constants, reference pages
	@$(PYTHON) tools/generate.py

check: setup ## layout, style, types, long functions, what is generated: 10 s; some with tools/check NAME...
	@tools/check

format: setup ## formats Swift, C and Go, and sorts Python's imports
	@$(PYTHON) tools/format

##@ Parts of the tests; ONLY= picks some
.PHONY: $(addprefix test-,$(SUITES)) fuzz-replay
test-check: setup ## as `make check`: ONLY=swift-format
test-unit: setup ## the Swift unit tests: ONLY=BackoffTests
test-asan: setup ## the same under the address sanitizer
test-tsan: setup ## the same under the thread sanitizer
test-abi: library ## header, exports, linkage, installation, the C interface's behaviour: ONLY=nobody_listens
test-python: library ## the Python binding's tests: ONLY='closing and not fork'
test-go: library ## the Go binding's tests, under the race detector: ONLY='^TestDial'
test-web: library ## the browser's binding, by node, against a clock of its own and a real hub: ONLY='a hidden tab'
test-chaos: library ## the fault proxy, storms, simulated weeks, crashes, and a hub, short: ONLY=storm
test-daemon: hub page ## the daemon pulsews-hub, its parts and as a process: ONLY=test_reload
test-packaging: library hub page ## what is given to others, made, opened, installed, used and removed: ONLY=wheel
test-reproducible: library ## the library, built once more in another folder, is the same to the byte
test-exchanges: library ## presets against simulated exchanges that ban whoever breaks a rule, two days in 50 s: ONLY=kraken
test-integration: library hub page ## against other people's servers, bad servers, captured traffic: ONLY=test_proxy
test-fuzz-replay: setup ## the fuzzing corpora, replayed: ONLY=URL
test-runner: setup ## the program that runs these suites
$(addprefix test-,$(SUITES)):
	@$(PYTHON) .ci/suites.py --verbose $(@:test-%=%)
fuzz-replay: test-fuzz-replay

##@ Building and installing
.PHONY: setup library hub web page wheel deb dist go-module debug install uninstall clean
setup: ## install what is missing: Debian packages (as root), Python packages and Go in a virtual environment
	@.ci/setup.sh

library: $(LIBRARY) ## the library that ships, in dist/
$(LIBRARY): $(SOURCES) | setup
	@.ci/library.sh

web: ## one script of the client for pages without modules, dist/pulsews.global.js
	@tools/web $(DIST)/pulsews.global.js

page: setup ## the page of bindings/web with its modules and its chart library, to be served by a hub, dist/web/; and in one file
	@.ci/page.sh $(DIST)/web

hub: $(HUB) ## the daemon pulsews-hub, in dist/; its packages come from the network
$(HUB): $(HUB_SOURCES) $(LIBRARY) | setup
	@.ci/hub.sh

wheel: library ## the Python package with the library and OpenSSL inside, dist/wheel/: one file for Linux with glibc 2.34 and newer
	@packaging/wheel/build.sh

deb: library hub ## Debian packages of library, headers, Python package and daemon, dist/deb/
	@packaging/debian/build.sh

dist: library hub page ## an archive of everything that is built, for C, C++, Python, Go and pages, with the daemon, dist/archive/
	@$(PYTHON) packaging/archive/build.py $(DIST)/archive

go-module: setup ## the Go module as files of a module proxy, dist/go/
	@$(PYTHON) packaging/go/build.py $(DIST)/go

debug: setup ## the library unoptimised with symbols, to step through with gdb or lldb, in .build/debug/
	@.ci/debug.sh

# Without `setup`, so that an installation as root needs nothing but what was built before.
install: ## install library, headers and pulsews.pc: PREFIX=/usr/local DESTDIR=
	@if ! [ -e $(LIBRARY) ]; then $(MAKE) library; fi
	@.ci/install.sh install

uninstall: ## remove what install put there
	@.ci/install.sh uninstall

clean: ## remove everything that was built or set up here
	rm -rf $(BUILD) $(DIST)

##@ By hand
.PHONY: bench fuzz conformance help
bench: library ## speed against other clients
	@benchmarks/setup
	@benchmarks/run
	@$(PYTHON) benchmarks/page.py

SECONDS ?= 600
fuzz: setup ## fuzz TARGET=name for SECONDS=600
	@test -n "$(TARGET)" || { echo "make fuzz TARGET=name SECONDS=600; targets: $$(cd Tests/Fuzz/corpus && echo *)" >&2; exit 2; }
	@.ci/fuzz.sh "$(TARGET)" "$(SECONDS)"

.PHONY: coverage
coverage: setup ## lines of PulseEngine that its unit tests run, by file; fails below 95 %
	@.ci/coverage.sh

.PHONY: captures
captures: library ## the tests that replay captures, with recorded ones: PULSEWS_CAPTURES=folder
	@test -d "$(PULSEWS_CAPTURES)" || { echo "make captures PULSEWS_CAPTURES=folder" >&2; exit 2; }
	@ONLY='test_captures or test_replay' PULSEWS_CAPTURES='$(abspath $(PULSEWS_CAPTURES))' $(PYTHON) .ci/suites.py --verbose integration

.PHONY: chaos
chaos: library ## faults of all kinds and books to the message, a storm, half a year in 90 s: SECONDS=300 SEED=n
	@Tests/Chaos/run.sh "$(if $(filter file,$(origin SECONDS)),300,$(SECONDS))" "$(SEED)"

RETURNS ?= 10000
KILLS ?= 100
.PHONY: chaos-hub
chaos-hub: library ## a hub with peers that stop reading, come back, lose it, behind a fault proxy: SECONDS=60 RETURNS=10000 KILLS=100 SEED=n
	@Tests/Chaos/hub.sh "$(if $(filter file,$(origin SECONDS)),60,$(SECONDS))" "$(RETURNS)" "$(KILLS)" "$(SEED)" "$$ONLY"

DAYS ?= 30
.PHONY: exchanges
exchanges: library ## 100 clients with each preset against simulated exchanges: DAYS=30 SCALE=4320 EXCHANGE=kraken SEED=n CLIENTS=n
	@PATH="$(BUILD)/venv/bin:$$PATH" Tests/Exchanges/run.sh "$(DAYS)" "$(SCALE)" "$(EXCHANGE)" "$(SEED)" "$(CLIENTS)"

.PHONY: abi-check abi-release
abi-check: library ## compares headers and library with the last release, packaging/abi/release.json: what is broken, what was added
	@$(PYTHON) -B packaging/abi/check.py $(DIST)/libpulsews.so.0

abi-release: library ## makes what is there now the release that later ones are compared with
	@$(PYTHON) -B packaging/abi/check.py --write $(DIST)/libpulsews.so.0

.PHONY: release-check
KINDS ?= abi wheel archive go deb
release-check: library hub page ## what is given to others, installed, used, upgraded, removed; as root, a minimal system from Debian's mirror: KINDS='wheel go' PULSEWS_PYTHONS='PATH PATH'
	@packaging/check.sh $(KINDS)

COUNT ?= 1000
.PHONY: crashes
crashes: library ## kills a sender with a journal again and again, and counts what arrived: COUNT=1000 SEED=n
	@Tests/Chaos/crashes.sh "$(COUNT)" "$(SEED)"

CASES ?= *
ROLES ?= client server
conformance: library ## the Autobahn test suite against both roles: CASES='6.*,7.*' ROLES=client (needs Python 2.7)
	@.ci/conformance.sh '$(CASES)' '$(ROLES)'

help: ## this list
	@awk 'BEGIN {FS = ":[^#]*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile
