# The resilient stack.  Everything that is made goes to $(WORK); with the same
# WORK each target finds what another left.  ARGS is passed on to the program
# that a target runs: make demo ARGS=--help
WORK ?= .node
ARGS ?=
HOURS ?= 2

export PATH := $(abspath $(WORK))/venv/bin:$(PATH)
PYTHON := $(abspath $(WORK))/venv/bin/python
DEMO = $(PYTHON) -m demo $(1) --work $(abspath $(WORK)) $(ARGS)
ON_A_NODE := env demo status takeover stop clean check test soak bench

.DEFAULT_GOAL := help
.PHONY: help hash tables $(ON_A_NODE)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.* ## /\1	/p' $(firstword $(MAKEFILE_LIST)) \
	  | awk -F '\t' '{ printf "make %-9s %s\n", $$1, $$2 }'

ifeq ($(shell id -u),0)
# A node cannot run as root: Debian packages are installed, and the target is
# made by an ordinary user, in a copy of this folder.
$(ON_A_NODE):
	@/usr/bin/python3 environment/as_user.py $@ $(MAKEOVERRIDES)
else
env: ## install what is missing: Debian packages, Python environment
	@/usr/bin/python3 environment/setup.py --work $(WORK)

demo: env ## show a replicated service, its backups and a takeover
	@$(call DEMO,run)

status: env ## who is what, and how old each backup is
	@$(call DEMO,status)

takeover: env ## make a clone of the demo its leader
	@$(call DEMO,takeover)

stop: ## end the demo, keep its data
	@if [ -x $(PYTHON) ]; then $(call DEMO,stop); fi

clean: ## end the demo, remove all that make produced
	@if [ -x $(PYTHON) ]; then $(call DEMO,clean); fi
	@rm -rf $(WORK)/venv $(WORK)/log $(WORK)/.environment.lock
	@if [ -d $(WORK) ]; then rmdir --ignore-fail-on-non-empty $(WORK); fi

check: env ## the tests that need no node
	@$(PYTHON) test/run check $(ARGS)

test: env ## all tests
	@$(PYTHON) test/run all $(ARGS)

soak: env ## random faults for HOURS=2 hours, and nothing may be lost
	@$(PYTHON) test/run all --tier slapos --only fault_mix --soak $(HOURS) $(ARGS)

bench: env ## measure one backup cycle
	@$(PYTHON) -m bench --work $(abspath $(WORK)) $(ARGS)
endif

hash: ## write the checksums of all templates to buildout.hash.cfg
	@./update-hash

tables: ## write the table of the parameters to README.rst
	@/usr/bin/python3 docs/tables.py
