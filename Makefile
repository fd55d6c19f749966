# On a fresh Debian or Ubuntu with Go, git and make, `make demo` and `make test`
# install what they lack and say so.

GOLANGCI_VERSION := 2.15.0
GOLANGCI         := bin/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME         ?= 20s
BENCHROUNDS      ?= 5
BENCHLOAD        ?= 1m
DESTDIR          ?=

# Without a usable repository (an archive, or one that belongs to somebody
# else) the go command refuses to stamp the version; then it is left out.
VCS := $(shell git rev-parse --verify -q HEAD >/dev/null 2>&1 && echo true || echo false)

.DEFAULT_GOAL := build
.PHONY: lab lab-down test-lab lab-stories build demo test fmt vet lint unit fuzz bench soak install deps clean

build:
	@.ci/install-deps build
	go build -buildvcs=$(VCS) -trimpath -o bin/watchdog ./cmd/watchdog

demo:
	@.ci/install-deps demo
	go build -buildvcs=$(VCS) -trimpath -o bin/watchdog ./cmd/watchdog
	bin/watchdog demo

deps:
	@.ci/install-deps demo
	@.ci/install-deps test

test:
	@.ci/install-deps test
	@$(MAKE) --no-print-directory fmt vet lint unit

fmt:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is needed for:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...

lint: $(GOLANGCI)
	$(GOLANGCI) run ./...

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION) into bin"
	GOFLAGS= GOBIN=$(CURDIR)/bin/tmp-lint go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)
	mv bin/tmp-lint/golangci-lint $@
	rmdir bin/tmp-lint

# Two packages at once, each with servers of its own: as many as CI has cores.
unit:
	go test -race -p 2 -timeout 20m ./...

# Every fuzz target for FUZZTIME; `go test` takes one of them at a time.
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# Every crash point of every step of a promotion, resumed and aborted.
soak:
	@.ci/install-deps test
	WATCHDOG_SOAK=1 go test -race -count=1 -timeout 30m -run ServiceDies ./testenv/story

# Speed and cost beside their targets, from one run; measured, never asserted.
bench:
	@.ci/install-deps demo
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./testenv/bench -rounds $(BENCHROUNDS) -loaded $(BENCHLOAD)

# The compose lab: docker-compose.test.yml on this machine's engine.
lab:
	@.ci/install-deps lab
	@go run -buildvcs=false ./testenv/lab/labctl up

lab-down:
	@go run -buildvcs=false ./testenv/lab/labctl down

# PostgreSQL 15: everything. 17: the story, once. Where no engine answers it is
# skipped, in one line; whatever else is missing is a failure.
test-lab:
	@.ci/install-deps lab
	@go build -buildvcs=false -o bin/labctl ./testenv/lab/labctl
	@if said=$$(bin/labctl check 2>&1); then \
		$(MAKE) --no-print-directory lab-stories; \
	elif [ $$? -eq 3 ]; then \
		echo "$$said; the compose lab is skipped"; \
	else \
		echo "$$said"; exit 1; \
	fi

lab-stories:
	WATCHDOG_LAB=1 LAB_PG=15 go test -count=1 -timeout 20m -v ./testenv/lab
	WATCHDOG_LAB=1 LAB_PG=17 go test -count=1 -timeout 20m -v -run HostDies ./testenv/lab

install: build
	@.ci/install-deps install
	DESTDIR=$(DESTDIR) packaging/install --binary bin/watchdog

clean:
	rm -rf bin
