# Holdfast. `make help` lists the targets; CI calls the same ones.

GO          ?= go
BIN         := bin
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0
FUZZTIME    ?= 30s
SEEDS       ?= 200
# Packages whose tests start real processes; they run alone, because two cores are soon busy.
CHAOS       := ./chaos/...
UNIT        = $(shell $(GO) list ./... | grep -v '/chaos')

# Static binaries; the race detector is the one that needs cgo.
export CGO_ENABLED ?= 0
race: export CGO_ENABLED = 1

SOAK_SEEDS ?= 20

# $(call go-test,FLAGS,PACKAGES) is go test. With RERUN=N a test that fails is played again up to N times, alone, and the file RERUNS lists what passed only then: .ci/run does that, on machines that
# stand still now and then, where one test of thousands must not cost an hour of others.
RERUNS  ?= $(or $(TMPDIR),/tmp)/holdfast-reruns
go-test  = $(if $(RERUN),$(GO) run $(GOTESTSUM) --format standard-quiet --rerun-fails=$(RERUN) --rerun-fails-max-failures=12 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race \
	--rerun-fails-report '$(RERUNS).$@' --packages '$(strip $(2))' -- $(1),$(GO) test $(1) $(2))

.PHONY: help build chaos chaos-all soak selftest test test-unit test-chaos test-long test-schema test-tomcat test-smuggling test-tcp test-acme test-h2spec test-http3 test-vip test-sockets test-steady test-upgrade test-disk test-browser sim sim-mutants bench-vip bench-proxy race lint fuzz bench demo drill ci clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/holdfast and bin/holdfast-chaos (static)
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/holdfast ./cmd/holdfast-chaos

test: test-unit test-chaos ## all tests: packages, then real processes that are killed under load

test-unit: ## tests of the packages
	$(call go-test,-timeout 15m,$(UNIT))

test-chaos: build ## kill tests against real processes on loopback
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast $(call go-test,-count=1 -p 1 -timeout 25m,$(CHAOS))

test-long: build ## what make test has less of: 10 seeds of TestLeaderKill, 10,000 changes of the configuration under load
	HOLDFAST_LONG=1 HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast $(GO) test -count=1 -timeout 45m -v -run 'LeaderKill|RandomEdits' ./chaos

test-tomcat: build ## three real Tomcats behind three nodes, all of them killed in turn; two that keep their sessions in the group (needs root for apt-get)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/tomcat.sh
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/tomcat_store.sh

test-tcp: build ## Redis, PostgreSQL and HAProxy with their own clients through tcp listeners of three nodes (needs root for apt-get)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/tcp.sh

test-acme: build ## certificates from a real ACME server (Pebble), obtained and renewed by three nodes
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/acme.sh

test-smuggling: build ## ambiguous requests through a real node to Tomcat, nginx and a Go server: each is read once, in one way (needs root for apt-get)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/smuggling.sh

test-http3: ## HTTP/3 with clients of others: ngtcp2's, curl and Chromium (installs them when root)
	./scripts/http3.sh

test-h2spec: build ## h2spec in strict mode against a real node
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/h2spec.sh

test-vip: build ## the virtual address in network namespaces: every fault, judged; the recipes for other programs (needs root)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/vip.sh test

test-steady: build ## certificates rotated and programs replaced under 2,000 requests a second; prints what was sent, and what failed: nothing
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast $(GO) test -count=1 -v -timeout 10m -run 'TestRotationUnderLoad|TestUpgradeBinary$$' ./chaos

test-sockets: build ## ten thousand idle WebSockets, half of them by TLS, over changes, a rotation and the death of the leader; how much memory each takes
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast HOLDFAST_SOCKETS=10000 $(GO) test -count=1 -v -timeout 10m -run TestIdleWebSocketsStayOpen ./chaos/streams

test-schema: ## this tree with the next schema of the state (the tag nextschema)
	$(GO) test -count=1 -tags nextschema -run 'Schema|Golden' ./fsm
	$(GO) test -count=1 -tags nextschema -run 'SchemaIsRaised|LostNode' ./raftnode

test-upgrade: test-schema ## upgrades to the next schema of the state: this tree against itself with the tag nextschema
	$(GO) test -count=1 -run TestRollingUpgrade ./chaos

test-disk: build ## disks: power cuts, real and simulated, failed syncs, no room (needs root, FUSE, loop devices)
	$(GO) test -tags fuse -count=1 -timeout 10m -run 'PowerCuts|EachSync|EachWrite|RealFullDisk' ./storage
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast $(GO) test -tags fuse -count=1 -timeout 30m -run NodesLosePower ./chaos
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/disk_freeze.sh

test-browser: ## the chaos report in Chromium: light, dark, on a phone, on paper, with hostile names (installs it when root)
	./scripts/browser.sh

bench-vip: build ## the same faults beside keepalived with HAProxy, as a table (needs root)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/vip.sh bench

bench-proxy: build ## what a request costs, beside HAProxy, nginx and Caddy, as a table (root once, to install them)
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast ./scripts/bench_proxy.sh

sim: ## whole groups in virtual time, SEEDS=200 worlds; SEED=n lives through one alone, exactly repeatable, with each event
	$(GO) test -count=1 -timeout 60m ./internal/sim -v -run TestSeeds $(if $(SEED),-exact -events -seeds 1 -first $(SEED),-seeds $(SEEDS))

sim-mutants: ## each known bug of raftnode, switched on alone, is found by some seed of the simulator
	$(GO) test -count=1 -timeout 30m -tags mutants ./internal/sim -v -run TestKnownBugsAreFound

race: ## the packages' tests under the race detector; RACE='./lb/... ./vip/...' for some
	$(call go-test,-race -p 3 -timeout 20m,$(or $(RACE),$(UNIT)))

lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags netns ./...
	$(GO) vet -tags fuse ./storage ./chaos
	$(GO) vet -tags nextschema ./fsm ./raftnode ./admin
	$(GO) vet -tags rivals ./chaos/rivals
	$(GO) vet -tags browser ./chaos/report
	$(GO) vet -tags failpoints ./internal/failpoint ./storage/... ./raftnode ./server ./cmd/holdfast
	$(GO) vet -tags servers ./chaos/attack ./chaos/streams
	$(GO) vet -tags mutants ./internal/mutant ./internal/sim
	$(GO) vet -tags http3clients ./lb
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags fuse ./storage ./chaos
	$(GO) run $(STATICCHECK) -tags nextschema ./fsm ./raftnode ./admin
	$(GO) run $(STATICCHECK) -tags browser ./chaos/report
	$(GO) run $(STATICCHECK) -tags servers ./chaos/streams
	$(GO) run $(STATICCHECK) -tags netns ./internal/netlab ./vip/... ./chaos/vip/... ./chaos/lan

fuzz: ## every fuzz target for FUZZTIME (30s)
	./scripts/fuzz.sh $(FUZZTIME)

bench: ## benchmarks of the packages (docs/BENCHMARKS.md says which figure is which)
	$(GO) test -run '^$$' -bench . -benchmem $(UNIT)

drill: build ## the disaster drill: three nodes and a standby, all nodes lost, promotion; then one with a million assignments, timed
	HOLDFAST_BIN=$(CURDIR)/$(BIN)/holdfast $(GO) test -count=1 -v -timeout 10m -run 'Drill|Planned' ./chaos
	$(GO) test -run '^$$' -bench Promote -benchtime 3x ./server

chaos: build ## the CI profile of the harness: faults against real processes, about four minutes; the report is in chaos-out/ (docs/CHAOS.md)
	./$(BIN)/holdfast-chaos run --profile ci $(CHAOS_FLAGS)

chaos-all: build ## every built-in scenario that this machine can play, once: about half an hour (as root: also those with disks and networks of their own)
	./$(BIN)/holdfast-chaos run --profile all $(CHAOS_FLAGS)

soak: build ## the soak profile with SOAK_SEEDS seeds, three minutes each; goes on where it was interrupted; chaos-soak/ has the reports
	./$(BIN)/holdfast-chaos run --profile soak --seeds $(SOAK_SEEDS) --resume --out chaos-soak $(CHAOS_FLAGS)
	./$(BIN)/holdfast-chaos report --table chaos-soak

selftest: build ## show that the harness catches the known bugs (builds with -tags mutants)
	./$(BIN)/holdfast-chaos selftest $(CHAOS_FLAGS)

demo: build ## three nodes and three instances on loopback, the leader is killed, nothing is lost
	./$(BIN)/holdfast demo

ci: ## what the continuous integration runs
	./.ci/run

clean: ## remove what was built
	rm -rf $(BIN) dist chaos-out chaos-replay chaos-minimal chaos-selftest
