# Every target sets up what it needs; none needs root or Docker.
FLEET ?= 20
RUN := .venv/bin/python
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev

.DEFAULT_GOAL := help
.PHONY: setup demo up down test debian layout manifests supply docs bench machine boots browser lint proto lock slow clean help

setup: $(INSTALLED_DEV) ## make the virtual environment with everything, tests and lint included

demo: $(INSTALLED) ## start everything and install a fleet of FLEET=20 simulated nodes; EXIT=1 ends when they run
	@$(RUN) manage.py up --demo --fleet $(FLEET) $(if $(filter 1,$(EXIT)),--exit)

up: $(INSTALLED) ## start everything, without the demo; VERBOSE=1 shows what all processes say
	@$(RUN) manage.py up

down: $(INSTALLED) ## end what `make up` or `make demo` started
	@$(RUN) manage.py down

memory: $(INSTALLED) ## what the running stack holds, process by process
	@$(RUN) manage.py memory

test: $(INSTALLED_DEV) ## run all tests
	@bin/test

debian: $(INSTALLED_DEV) ## the tests that need Debian's prometheus
	@$(RUN) -m pytest -n 0 -m debian

layout: $(INSTALLED_DEV) ## the whole layout, two of each process behind Debian's nginx, Postgres and Redis; as root
	@$(RUN) -m pytest -n 0 -m layout tests/layout

manifests: $(INSTALLED_DEV) ## check Dockerfile, compose file, systemd units and Kubernetes manifests; needs Debian's systemd
	@bin/manifests || [ $$? = 77 ]

supply: $(INSTALLED_DEV) ## check licences and known weaknesses of what we stand on; writes var/sbom.json
	@$(RUN) bin/supply.py || [ $$? = 77 ]

docs: $(INSTALLED_DEV) ## the documentation as a site, in site/index.html; anything that leads nowhere fails
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet

lint: $(INSTALLED_DEV) ## check style, floors, migrations and generated code
	@bin/lint

bench: $(INSTALLED_DEV) ## measure the claims about speed; writes bench/latest.json
	@$(RUN) -m bench

machine: $(INSTALLED) ## install a real machine (QEMU) over the network; DISK=virtio|ahci|nvme NIC=virtio|e1000e FIRMWARE=bios|uefi BOOT=ipxe|usb|dvd|http|https
	@$(RUN) manage.py machine $(DISK:%=--disk %) $(NIC:%=--nic %) $(FIRMWARE:%=--firmware %) $(BOOT:%=--boot %)

boots: $(INSTALLED_DEV) ## Secure Boot enforced on a QEMU machine, and the shipped nginx: what make machine doesn't show
	@$(RUN) -m pytest -n 0 -m boots

browser: $(INSTALLED_DEV) ## the pages as somebody sees them who uses them, in Debian's Chromium; EIM_SCREENSHOTS=1 pictures them
	@$(RUN) -m pytest -n 0 -m browser --timeout 600 tests/browser

slow: $(INSTALLED_DEV) ## the proofs that take long: all kinds of machines, long faults, many tenants
	@$(RUN) -m pytest -m slow

proto: $(INSTALLED_DEV) ## generate wire/ from its .proto files
	@$(RUN) -m wire.generate

lock: $(INSTALLED_DEV) ## resolve the requirements anew, with hashes
	@$(RUN) -m pip install --quiet pip-tools
	@for name in requirements requirements-otel requirements-dev; do $(RUN) -m piptools compile --generate-hashes --allow-unsafe \
		--strip-extras --no-emit-index-url --no-emit-find-links --quiet --output-file=$$name.txt $$name.in; done

clean: ## remove the virtual environment and generated files; the data stays
	rm -rf .venv .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

$(INSTALLED): requirements.txt
	@bin/setup requirements.txt
	@touch $@

$(INSTALLED_DEV): requirements.txt requirements-dev.txt
	@bin/setup requirements-dev.txt
	@touch $(INSTALLED) $@
