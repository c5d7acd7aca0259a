# Two commands: `make demo` and `make test`. Each makes .venv when it is missing; nothing outside the checkout is touched,
# but for the programs that the tests drive where they are missing and apt-get may install them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The versions of Airflow that the suite is run on, each in an environment of its own with constraints of its own.
MATRIX := 3.0.6 3.3.2
MATRIX_VENV = .venvs/airflow-$(1)
MATRIX_TESTS := $(MATRIX:%=test-matrix-%)

.PHONY: demo programs test test-long test-matrix $(MATRIX_TESTS) bench bench-full lint types check clean
.DELETE_ON_ERROR:

# uv is used where it can be had (seconds instead of a minute); pip does the same job otherwise.
# Arguments: the environment's folder, the file of constraints.
define install
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	@echo "Installing into $(1) …"
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check -c $(2) uv \
	  && UV_COMPILE_BYTECODE=1 $(1)/bin/uv pip install --quiet --python $(1)/bin/python -c $(2) -e '.[dev]' \
	  || $(1)/bin/python -m pip install --quiet --disable-pip-version-check --compile -c $(2) -e '.[dev]'
	@touch $(1)/.installed
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call install,$(VENV),constraints.txt)

$(call MATRIX_VENV,3.0.6)/.installed: pyproject.toml constraints-airflow-3.0.txt
	$(call install,$(@D),constraints-airflow-3.0.txt)

$(call MATRIX_VENV,3.3.2)/.installed: pyproject.toml constraints.txt
	$(call install,$(@D),constraints.txt)

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

# The suite on one version of Airflow. What pytest says is kept in build/matrix, for the summary of all versions.
$(MATRIX_TESTS): test-matrix-%: $(call MATRIX_VENV,%)/.installed programs
	@mkdir -p build/matrix
	@rm -f build/matrix/$*.status
	@{ $(call MATRIX_VENV,$*)/bin/python -m pytest; echo $$? >build/matrix/$*.status; } 2>&1 | tee build/matrix/$*.log
	@exit "$$(cat build/matrix/$*.status)"

# One version after the other, also after a failure; then pytest's closing line of each.
test-matrix:
	@failed=0; summary=""; \
	for version in $(MATRIX); do \
	  rm -f "build/matrix/$$version.log"; \
	  $(MAKE) "test-matrix-$$version" || failed=1; \
	  line=$$(grep -E '^=+ .* in [0-9.]+s' "build/matrix/$$version.log" 2>/dev/null | tail -n 1); \
	  summary="$$summary\nAirflow $$version: $${line:-no result}"; \
	done; \
	printf "%b\n" "$$summary"; \
	exit $$failed

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
	rm -rf $(VENV) .venvs build benchmarks/.venvs
