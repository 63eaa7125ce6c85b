# The words a newcomer types. A thin wrapper around CMakePresets.json; always a CPU build (`cmake --preset cuda` makes the
# other). Bites: packages are looked for before anything is configured, and installed only where that needs no password.
PACKAGES := g++ cmake ninja-build pkg-config libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libgtest-dev \
            libbrotli-dev libzstd-dev liblzma-dev libssl-dev libsentencepiece-dev libopenblas-dev liblapacke-dev
JOBS ?= $(shell nproc)
INSTALL := apt-get install -y --no-install-recommends

.PHONY: demo test build bench clean configure packages
.DEFAULT_GOAL := build

build: configure  ## the three programs, in build/bin
	@cmake --build --preset release -j $(JOBS) --target programs

demo: build  ## train, pack and score a small model; leaves everything in build/demo
	@./demo.sh build/demo

test: configure  ## every test; those on golden data skip where SIXTEEN_SHARED (default ../shared) is not there
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release -j $(JOBS)

bench: build  ## speed on this machine
	@cmake --build --preset release -j $(JOBS) --target benches
	@for program in build/bin/bench_*; do echo "== $$program" && $$program || exit 1; done
	@build/bin/sixteen-train bench --config configs/demo.toml
	@build/bin/sixteen-eval bench --config configs/demo.toml

clean:  ## everything that was built
	rm -rf build

configure: packages
	@echo "sixteen: CPU build (make never uses CUDA; the cuda preset does)"
	@cmake --preset release --log-level=NOTICE

packages:
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=""; \
	for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Abbrev}\n' $$package 2>/dev/null | grep -q '^ii' || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ]; then as_root=""; \
	elif sudo -n true 2>/dev/null; then as_root="sudo -n"; \
	else echo "sixteen: packages are missing; type: sudo $(INSTALL)$$missing" >&2; exit 1; fi; \
	echo "sixteen: installing$$missing"; \
	{ $$as_root apt-get update -qq && $$as_root env DEBIAN_FRONTEND=noninteractive $(INSTALL)$$missing; } </dev/null || \
	{ echo "sixteen: apt-get failed; type: sudo $(INSTALL)$$missing" >&2; exit 1; }
