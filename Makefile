# Every target sets itself up in a fresh clone: Python 3.11 (or PYTHON=…), make and PyPI are all it needs.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed
# The newest fastai and the fastcore 2 that it needs, laid over the environment by one test
NEWEST := .fastai-newest
PIP := $(BIN)/python -m pip install --quiet --progress-bar off

.PHONY: help demo test fresh docs notebooks lab bench soak walk clean

help:
	@echo "make demo    a whole study on embedded images, a few minutes; ends with a report"
	@echo "make test    notebooks settled and tested, then pytest"
	@echo "make fresh   what is made from the rest: README, the picture in CONTRIBUTING, the page of all commands"
	@echo "make docs    the site, in _docs/site"
	@echo "make notebooks  every notebook from top to bottom, training cells included, at demo scale"
	@echo "make lab     JupyterLab, with hooks that keep notebooks clean"
	@echo "make bench   speed beside named peers, and a trial beside fine_tune, kept in data/results; an hour and a half on a quiet machine"
	@echo "make soak    studies that are killed, that stand still, whose disks are full, and damaged files of every kind; forty minutes"
	@echo "make walk    the README's first commands in a fresh environment, and a notebook in a browser, with a clock; fifteen minutes"
	@echo "make clean   remove environments, builds and the demo's output"

$(READY): settings.ini setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gradlr needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "setting up .venv: PyTorch and the rest, about 6 GB and a few minutes, once"
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[dev,docs,bench]'
	rm -rf $(NEWEST)
	$(PIP) --no-deps --target $(NEWEST) 'fastai>=2.8.12,<3' 'fastcore>=2.2.22' 'fasttransform>=0.0.3' 'fastdownload>=0.0.8' fastprogress 'plum-dispatch<2.10'
	touch $@

demo: $(READY)
	$(BIN)/gradlr study run demo --out out/demo

# The house is kept, notebooks run as tests, and what no notebook can show
test: $(READY)
	$(BIN)/python tests/settled.py
	OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2
	$(BIN)/python -m pytest

fresh: $(READY)
	$(BIN)/python docs/readme.py
	$(BIN)/python docs/house.py
	$(BIN)/python docs/help.py

docs: $(READY)
	@$(BIN)/python -W ignore docs/pages.py _proc
	rm -rf _docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html -c docs _proc _docs/site
	@echo "site: _docs/site/index.html"

notebooks: $(READY)
	$(BIN)/python tests/run_notebooks.py

lab: $(READY)
	$(BIN)/nbdev_install_hooks
	$(BIN)/python -m ipykernel install --sys-prefix --name python3 --display-name "Python 3 (gradlr)"
	$(BIN)/jupyter lab nbs

bench: $(READY)
	@mkdir -p data/results/speed out
	@set -o pipefail; for part in training study components distances cost trial; do \
	  $(BIN)/python -W ignore benchmarks/$$part.py | tee out/bench.txt && mv out/bench.txt data/results/speed/$$part.txt || exit 1; done

soak: $(READY)
	@mkdir -p data/results/soak out
	@set -o pipefail; $(BIN)/python -W ignore tests/soak.py | tee out/soak.txt && mv out/soak.txt data/results/soak/soak.txt

walk: $(READY)
	@$(BIN)/python -W ignore tests/walk.py

clean:
	rm -rf .venv $(NEWEST) _docs _proc build dist *.egg-info out/demo
