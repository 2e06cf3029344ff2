# The two commands of a fresh machine (Python >= 3.11): make demo, make test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/demo.installed
	$(BIN)/python -W ignore demo/run_demo.py $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

test: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: .venv/test.installed
	$(BIN)/ruff check .

.venv/%.installed: requirements.txt requirements/%.txt | .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements/$*.txt
	touch $@

.venv:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv demo_output
