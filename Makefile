# Relais. "make help" says what there is.

GO       ?= go
# SQLite is C turned into Go. The race detector would make it ten times slower and can find nothing of ours there.
RACE     := -race -gcflags='modernc.org/...=-race=false'
FUZZTIME ?= 30s
LINTER   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -ec

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help build demo test test-deps test-unit test-acceptance test-long bench fuzz lint check-format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## put the binary at bin/relais
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/relais ./cmd/relais

demo: build ## a company's server dies, Relais stands in and gives everything back (no root, under two minutes)
	bin/relais demo --once

test: test-deps check-format test-unit test-acceptance ## everything that must always hold (at most 25 minutes on 2 cores)

test-deps: ## install from Debian's packages what the tests need (as root), or say what is missing
	test/deps.sh

test-unit: ## our own packages under the race detector
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test $(RACE) -timeout 15m ./cmd/... ./internal/...

test-acceptance: build ## the stories with real Postfix, Dovecot, PostgreSQL and mail programs, at their short sizes
	RELAIS_BIN=$(CURDIR)/bin/relais $(GO) test -short -count=1 -p 1 -timeout 20m ./test/...

test-long: test-deps build ## the stories at full size: 5,000 messages, all primaries, both stores; log in docs/test-long.log
	@{ echo "make test-long on $$(git describe --always --dirty --abbrev=12), $$(date -u +%FT%TZ), $$(nproc) CPUs"; \
	RELAIS_BIN=$(CURDIR)/bin/relais $(GO) test -v -count=1 -p 1 -timeout 3h ./test/...; } 2>&1 | tee docs/test-long.log

bench: build ## Relais beside Postfix and Dovecot: messages/s and CPU, as ratios
	test/deps.sh bench
	RELAIS_BIN=$(CURDIR)/bin/relais $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 1h ./test/bench

fuzz: ## every fuzz target for FUZZTIME (30s)
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' cmd internal); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$file); do \
			echo "fuzz $$target in $$(dirname $$file)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
		done; \
	done

lint: check-format ## gofmt, vet and golangci-lint
	$(GO) vet ./...
	GOBIN=$(CURDIR)/.cache/bin $(GO) install $(LINTER)
	.cache/bin/golangci-lint run ./...

check-format:
	@unformatted=$$(gofmt -l cmd internal test); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi

clean: ## remove what was built
	rm -rf bin
