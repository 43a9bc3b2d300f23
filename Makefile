SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Tests make and drop databases by the thousand, files and all: in memory, where there is enough of it, that is a third of the time.
MEMORY := $(shell [ -w /dev/shm ] && [ "$$(df --output=avail /dev/shm | tail -1)" -ge 4194304 ] && echo /dev/shm)
SERVICES = $(if $(MEMORY),TMPDIR=$(MEMORY)) $(TARGET)/debug/ottery-test-services --with postgres,rabbitmq,redis --
OTTERY := $(CARGO) run --locked --profile quick --bin ottery --

.PHONY: help setup build check test test-full run cluster demo bench

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## Install what is missing: PostgreSQL, RabbitMQ, Redis, Chromium, fonts, poppler, libfaketime, cargo tools, e-invoice validator, simulators of Stripe
	@scripts/setup

build: ## Build the release binary
	$(CARGO) build --locked --release --bin ottery

check: ## Format, lints, documentation, dependency policy, query data: everything but tests
	$(CARGO) fmt --all --check
	scripts/deny
	scripts/prepare --lint

# The tests of testkit need its binary, so that building them builds it, with the same features as everything else.
test: ## Run what CI runs, with servers of its own
	$(CARGO) nextest run --locked --workspace --profile ci --no-run
	@echo "left to 'make test-full': tests in documentation, and these marked as slow:"
	@$(CARGO) nextest list --locked --workspace --profile ci --run-ignored ignored-only --message-format oneline 2>/dev/null | sed 's/^/  /'
	$(SERVICES) $(CARGO) nextest run --locked --workspace --profile ci

test-full: ## Run every test, also the slow ones and those in documentation
	$(CARGO) nextest run --locked --workspace --profile ci --no-run
	$(CARGO) test --locked --workspace --doc
	$(SERVICES) $(CARGO) nextest run --locked --workspace --profile ci --run-ignored all

run: setup ## Install what is missing, build, start everything with a demo brand
	$(OTTERY) up

cluster: setup ## As run, distributed: every service a process of its own over PostgreSQL, RabbitMQ and Redis
	$(OTTERY) cluster

demo: ## Drive a private system as customers, provider and operator would, and check what they see
	$(OTTERY) demo

bench: setup build ## Measure: activation on both topologies, pages; JSON below target/bench, see docs/benchmarks.md
	@mkdir -p $(TARGET)/bench
	for topology in embedded distributed; do for rate in 10 50; do \
		$(TARGET)/release/ottery bench activation --orders $$((rate * 60)) --rate $$rate --topology $$topology --json \
			| tee $(TARGET)/bench/activation-$$topology-$$rate.json; \
	done; done
	$(TARGET)/release/ottery bench storefront --json | tee $(TARGET)/bench/storefront.json
