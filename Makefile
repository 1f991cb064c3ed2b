# The default build has no cgo; only the race detector of "make test" needs it.
export CGO_ENABLED := 0
# Processors for x86-64 since 2009: a tenth of a recall by vectors is saved that would
# ask each time whether bits can be counted by one instruction.
export GOAMD64 ?= v2

GO        ?= go
ROUNDS    ?= 100
FUZZTIME  ?= 10s
BENCH     ?= ^Benchmark(Machine|Agent|ColdAfter|Beside)$$
BENCHTIME ?= 1x

.DEFAULT_GOAL := help
.PHONY: help build run test lint fmt bench bench-write eval stress crash chaos fuzz generate tools k6 clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/lembra
	$(GO) build -trimpath -o bin/lembra ./cmd/lembra

run: build ## build and serve on 127.0.0.1:8080, data in ./lembra-data
	bin/lembra serve

test: ## run every test under the race detector
	scripts/test.sh

lint: tools ## check style, formatting and the usual mistakes
	bin/golangci-lint run ./...
	bin/gofumpt -l . | (! grep .)

fmt: tools ## format every file
	bin/golangci-lint fmt ./...

bench: ## measure agents of 1k to 1M memories (BENCH=regexp chooses)
	@mkdir -p tmp
	TMPDIR=$(CURDIR)/tmp $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 2h ./internal/engine

bench-write: build ## measure durable POST /memorize against the bare server
	scripts/bench-write.sh

eval: build ## measure recall on the labelled sets in ../shared/data
	scripts/eval.sh

stress: build k6 ## 25,000 virtual users against a server of its own, and the report
	scripts/stress.sh

crash: ## kill -9 the server under load, ROUNDS=100 times, and check what it kept
	$(GO) test -count 1 -timeout 2h -v -run "^TestCrash$$" ./cmd/lembra -crash.rounds=$(ROUNDS)

chaos: ## crowds, slow senders and readers, a slow model, kill -9, a full disk: what the server stands, in seven minutes
	$(GO) test -count 1 -timeout 20m -v -run "^TestChaos" ./cmd/lembra -chaos

fuzz: ## run each fuzz target for FUZZTIME=10s
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

generate: tools ## write generated code anew; needs protoc
	PATH="$(CURDIR)/bin:$$PATH" $(GO) generate ./...

tools: bin/golangci-lint

# One build makes all tools, with their versions from tools/go.mod.
bin/golangci-lint: tools/go.mod tools/go.sum
	$(GO) build -C tools -o $(CURDIR)/bin/ tool
	@touch bin/golangci-lint

k6: bin/k6 ## build k6, the load generator

# Its own module: its versions and those of the linters are chosen apart.
bin/k6: tools/k6/go.mod tools/k6/go.sum
	$(GO) build -C tools/k6 -o $(CURDIR)/bin/ tool
	@touch bin/k6

clean: ## remove what was built, but no data
	rm -rf bin
