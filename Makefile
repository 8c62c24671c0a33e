# `make help` lists the targets. A fresh Debian machine needs Go, make and root;
# what else a target needs, it installs.

SHELL := /bin/bash -o pipefail
GO    ?= go
BIN   := $(CURDIR)/bin
# The binaries are static and glibc-free; only the race detector and caravan-nvidia need cgo.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath
# NVIDIA's header marks functions as deprecated that its binding wraps all the same.
export CGO_CFLAGS ?= -O2 -g -Wno-deprecated-declarations
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X caravan/cmd/caravan/internal/version.Version=$(VERSION)

.DEFAULT_GOAL := help

## help: list the targets
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## build: the caravan binary, and beside it the plugin for NVIDIA GPUs and the store of container images, into bin/
.PHONY: build
build:
	$(BUILD) -ldflags '$(LDFLAGS)' -o $(BIN)/caravan ./cmd/caravan
	$(BUILD) -ldflags '-s -w' -o $(BIN)/caravan-container ./cmd/caravan-container
	@tools/install gcc
	CGO_ENABLED=1 $(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/caravan-nvidia ./cmd/caravan-nvidia

## demo: three servers, two agents, a transcode ladder, a leader killed half way, and the proof
.PHONY: demo
demo: build
	@tools/install ffmpeg
	@$(GO) run ./e2e/demo -caravan $(BIN)/caravan

## test: everything that must be true: guards, unit, scenario, property, race and end-to-end tests
.PHONY: test
test: build
	@tools/install busybox containerd ffmpeg gcc povray python3
	cd tools && $(GO) build -o $(BIN)/caravan-vet ./vet/cmd/caravan-vet && $(GO) test ./...
	$(GO) vet ./...
	$(GO) vet -vettool=$(BIN)/caravan-vet ./...
	CARAVAN_BIN=$(BIN)/caravan CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 30m ./...

## e2e-full: what is too heavy for every push: many kills, PyTorch (552 MB), network namespaces (root), the examples' tools (800 MB)
.PHONY: e2e-full
e2e-full: build
	@tools/install ip torch numpy bwa samtools cdo convert melt lmp icoFoam
	CARAVAN_BIN=$(BIN)/caravan CARAVAN_KILLS=100 $(GO) test -count=1 -timeout 30m ./e2e/fencing
	CARAVAN_BIN=$(BIN)/caravan $(GO) test -tags full -timeout 40m -v ./e2e/workloads/ddp ./e2e/examples

## scenarios: run the scenario tests; ARGS=-rewrite regenerates what they expect (then read the diff)
.PHONY: scenarios
scenarios:
	$(GO) test ./scheduler/core/... ./scheduler/state/... ./scheduler/fsm/... ./agent/runner/... ./api/jobspec/... $(if $(ARGS),-args $(ARGS))

## generate: regenerate the Go code of the contract and the OpenAPI document
.PHONY: generate
generate: $(BIN)/buf
	$(BIN)/buf generate
	$(BIN)/buf generate --template buf.gen.plugin.yaml

## lint: golangci-lint, buf lint, formatting, generated code up to date
.PHONY: lint
lint: $(BIN)/buf $(BIN)/golangci-lint
	$(BIN)/buf lint
	$(BIN)/golangci-lint run ./...
	$(MAKE) generate && git diff --exit-code -- api plugins/sdk/pluginv1

## breaking: compare the contract with that of AGAINST (a git ref, default the last tag)
.PHONY: breaking
breaking: $(BIN)/buf
	$(BIN)/buf breaking --against '.git#ref=$(or $(AGAINST),$(shell git describe --tags --abbrev=0))'

## bench: the benchmarks of the pure packages and of raft
.PHONY: bench
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./scheduler/... ./agent/...

## bench-save: measure the scheduler's benchmarks COUNT times (default 6) into bin/bench/NAME (default base)
.PHONY: bench-save
bench-save:
	@mkdir -p $(BIN)/bench
	$(GO) test -run '^$$' -bench '$(or $(BENCH),.)' -benchmem -count $(or $(COUNT),6) $(or $(PKG),./scheduler/core/...) | tee $(BIN)/bench/$(or $(NAME),base)

## bench-compare: measure again and compare with what bench-save has kept
.PHONY: bench-compare
bench-compare: $(BIN)/benchstat
	$(MAKE) bench-save NAME=now
	$(BIN)/benchstat $(BIN)/bench/$(or $(NAME),base) $(BIN)/bench/now

## fuzz: fuzz every parser and decoder for T (default 60s) each
.PHONY: fuzz
fuzz:
	tools/fuzz $(or $(T),60s)

## clean: remove what was built
.PHONY: clean
clean:
	rm -rf $(BIN)

$(BIN)/buf: tools/go.mod
	cd tools && $(GO) build -o $@ github.com/bufbuild/buf/cmd/buf

$(BIN)/benchstat: tools/go.mod
	cd tools && $(GO) build -o $@ golang.org/x/perf/cmd/benchstat

$(BIN)/golangci-lint: tools/go.mod
	cd tools && $(GO) build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
