# Every recipe is one plain command, so that a signal to make alone reaches it.

PYTHON ?= python3
WITH_VENV = @$(PYTHON) -I config/embedded/bootstrap.py

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' $(firstword $(MAKEFILE_LIST))

up:  ## start everything here and keep it running (PORT, WAYBILL_HOME)
	$(WITH_VENV) requirements.lock -m config.embedded

test:  ## the whole suite, on its own throwaway PostgreSQL and Valkey
	$(WITH_VENV) requirements-test.lock -m pytest -n 2 --dist loadscope

check:  ## format, lint, types, imports, migrations, OpenAPI, dependencies
	$(WITH_VENV) requirements-test.lock .ci/check.py

bench:  ## the same work through Waybill, plain Celery + Django, and by hand (ONLY=P1,P8 or SCALE, SHORT=1)
	$(WITH_VENV) requirements-test.lock -m benchmarks

chaos:  ## break everything under load, then check every promise (SECONDS, SEED)
	$(WITH_VENV) requirements-test.lock -m chaos

audit:  ## known weaknesses of the dependencies (needs the network)
	$(WITH_VENV) requirements-test.lock .ci/audit.py

clean:  ## remove what was built; the data in WAYBILL_HOME stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache

.PHONY: help up test check bench chaos audit clean
