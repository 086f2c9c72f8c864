# Holdfast. `make help` lists the targets; CI calls the same ones.

GO          ?= go
BIN         := bin
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 30s
# Packages whose tests start real processes; they run alone, because two cores are soon busy.
CHAOS       := ./chaos/...
UNIT        = $(shell $(GO) list ./... | grep -v '/chaos')

# Static binaries; the race detector is the one that needs cgo.
export CGO_ENABLED ?= 0
race: export CGO_ENABLED = 1

.PHONY: help build test test-unit test-chaos test-tomcat race lint fuzz bench demo ci clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/holdfast (static)
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/holdfast ./cmd/holdfast

test: test-unit test-chaos ## all tests: packages, then real processes that are killed under load

test-unit: ## tests of the packages
	$(GO) test -timeout 8m $(UNIT)

test-chaos: build ## kill tests against real processes on loopback
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast $(GO) test -count=1 -p 1 -timeout 20m $(CHAOS)

test-tomcat: build ## three real Tomcats behind three nodes, all of them killed in turn (needs root for apt-get)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/tomcat.sh

race: ## the packages' tests under the race detector
	$(GO) test -race -timeout 20m $(UNIT)

lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## every fuzz target for FUZZTIME (30s)
	./scripts/fuzz.sh $(FUZZTIME)

bench: ## benchmarks of the packages (docs/BENCHMARKS.md says which figure is which)
	$(GO) test -run '^$$' -bench . -benchmem $(UNIT)

demo: build ## three nodes and three instances on loopback, the leader is killed, nothing is lost
	./$(BIN)/holdfast demo

ci: ## what the continuous integration runs
	./.ci/run

clean: ## remove what was built
	rm -rf $(BIN) dist
