# SPDX-License-Identifier: MIT
#
# The front door. Meson and Ninja do the work; this file knows how they are called. All that is
# made lies in build/, and what was fetched from Debian's mirrors in ~/.cache/freehold.

BUILD := build/main
PREFIX ?= /usr/local
# The directory of libraries in PREFIX. Meson learns of Debian's from dpkg-dev alone; without it, it
# takes lib64, where neither the linker nor pkg-config looks. Empty: what Meson takes.
LIBDIR ?= $(addprefix lib/,$(shell gcc -print-multiarch 2>/dev/null))
RUN_ARGS ?=
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help

help:
	@echo 'make run        build the machine and boot Debian on it (RUN_ARGS: its options)'
	@echo 'make check      build in every configuration, run every test and check'
	@echo 'make bench      measure; writes build/bench.json'
	@echo 'make soak       the tests that take long'
	@echo 'make mutants    prove that the tests can fail'
	@echo 'make fuzz       each fuzz target for a minute (FUZZ_SECONDS=60)'
	@echo 'make docs       the reference of the public headers, build/main/docs/html'
	@echo 'make build      build the library and the program'
	@echo 'make install    install them (PREFIX=/usr/local, LIBDIR=, DESTDIR=)'
	@echo 'make clean      remove build/'
	@echo
	@echo 'run and check first look for what this machine lacks, and install it on Debian.'

setup-run:
	@tools/setup.sh run

setup-check:
	@tools/setup.sh check

# Only what an embedder needs: the tests have build directories of their own.
configure: setup-run
	@test -e $(BUILD)/build.ninja || meson setup $(BUILD) -Dtests=disabled -Dexamples=disabled

build: configure
	@ninja -C $(BUILD)

run: build
	@tools/run.sh $(RUN_ARGS)

check: setup-check
	@tools/check.py

bench: build
	@$(BUILD)/bench/bench --json build/bench.json
	@bench/boot.py $(BUILD)/src/freehold build/bench.json

soak: setup-check
	@tools/check.py --soak

mutants: setup-check
	@tools/mutants.py

# Without Doxygen there is no such target, as when `make run` came first.
fuzz: setup-check
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz.py

docs: setup-check configure
	@test -e $(BUILD)/docs/Doxyfile || meson setup --reconfigure $(BUILD)
	@ninja -C $(BUILD) docs

install: configure
	@meson configure $(BUILD) -Dprefix=$(PREFIX) $(addprefix -Dlibdir=,$(LIBDIR))
	@meson install -C $(BUILD)
	@test "$$(id -u)" != 0 || chown -R --reference=. build # after sudo, it is still the user's
	@test "$$(id -u)" != 0 || test -n "$(DESTDIR)" || ldconfig

clean:
	@rm -rf build

.PHONY: help setup-run setup-check configure build run check bench soak mutants fuzz docs install clean
