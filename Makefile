# Two commands on a fresh machine: `make demo` shows the main job, `make test` runs every check.
# Both make their own virtual environment in .venv from the hash-pinned requirements.lock.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test unit system simulate model chaos schemathesis advisories lint format bench lock clean

demo: .venv/ready ## four banks, sample customers, one payment from three banks to a fourth, the audit
	$(BIN)/ciranda demo

test: lint unit system ## every check that CI runs

lint: .venv/ready
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile tests --ignore=tests/system

system: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/system

SEEDS ?= 2000
simulate: .venv/ready ## whole consortia under every fault, in virtual time; SEEDS=2000
	$(BIN)/ciranda simulate --seeds $(SEEDS)

model: ## the protocol's model, checked exhaustively; needs the packages spin and gcc
	$(PYTHON) spec/check

MINUTES ?= 5
chaos: .venv/ready ## real banks under a nemesis; MINUTES=30 SEED=7 OPTIONS='--postgres' or '--netns'
	$(BIN)/python -m tests.system.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(OPTIONS)

EXAMPLES ?= 200
schemathesis: .venv/ready ## every route as its OpenAPI document has it, and as it has it not; EXAMPLES=1000 SEED=7
	$(BIN)/python -m tests.openapi.conformance --examples $(EXAMPLES) $(if $(SEED),--seed $(SEED))

advisories: .venv/ready ## known vulnerabilities of what is locked; needs a service of advisories; OPTIONS='-s osv'
	$(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python -m tests.architecture.advisories .venv/audit/bin/pip-audit $(OPTIONS)

format: .venv/ready
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

bench: .venv/ready ## what a payment costs, by workload and beside its peers; OPTIONS='--runs 1 --postgres'
	$(BIN)/ciranda bench --seconds 10 --runs 3 $(OPTIONS)
	$(BIN)/python -m bench.compare --seconds 10 --runs 3

lock: .venv/ready ## pin the newest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv/lock && .venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --extra postgres --group dev --group bench \
		--generate-hashes --no-emit-index-url --no-header --upgrade --output-file requirements.lock

clean:
	rm -rf .venv

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Ciranda needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch .venv/ready
