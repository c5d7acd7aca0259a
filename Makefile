# Two commands: `make demo` and `make test`. Each makes .venv when it is missing; nothing outside the checkout is touched,
# but for the programs that the tests drive where they are missing and apt-get may install them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo programs test test-long bench bench-full lint types check clean
.DELETE_ON_ERROR:

# uv is used where it can be had (seconds instead of a minute); pip does the same job otherwise.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv \
	  && UV_COMPILE_BYTECODE=1 $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]' \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python demo/run.py

# A browser for the sandbox's page, curl for the README's lines, npm for the vendor's own client. Does nothing where all are
# there; the tests that need one that cannot be installed fail and say how to get it.
programs:
	@missing=""; \
	for pair in chromium:chromium chromedriver:chromium-driver curl:curl npm:npm; do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing$$missing …"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; } >/dev/null \
	    || echo "apt-get could not install$$missing"; \
	else \
	  echo "Some tests need$$missing. On Debian: sudo apt-get install$$missing"; \
	fi

test: $(VENV)/.installed programs
	$(BIN)/python -m pytest

test-long: $(VENV)/.installed programs
	AFILNET_LONG=1 $(BIN)/python -m pytest

# A whole Airflow with scheduler, triggerer and web interface, and a browser; pictures go to build/standalone/pictures.
.PHONY: test-standalone pictures
test-standalone: $(VENV)/.installed programs
	$(BIN)/python -m pytest -m standalone tests/standalone

# The pictures of the documentation.
pictures: test-standalone
	mkdir -p docs/images
	cp build/standalone/pictures/*.png docs/images/

# The refresh beside other tools, which are installed below benchmarks/.venvs.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.run

bench-full: $(VENV)/.installed
	$(BIN)/python -m benchmarks.run --rows 100000 --rows 1000000

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

check: lint types test

.PHONY: bench-airflow
bench-airflow: $(VENV)/.installed
	$(BIN)/python benchmarks/airflow_costs.py

clean:
	rm -rf $(VENV) build benchmarks/.venvs
