# make demo         a 16x16 face becomes a 128x128 one, on the CPU, without torch
# make test         linter, type checker and all tests, with the lines and branches they reach
# make demo-web     a page that upscales in the browser, without a server; needs npm
# make docs         the documentation site, in build/site
# make constraints  pins what the last `make test` ran with
# make clean        removes what the others made, constraints.txt aside
#
# demo and test each make a virtual environment of their own, once, and bring it up to date when
# pyproject.toml or constraints.txt has changed. Another Python:  make test PYTHON=python3.12

PYTHON ?= python3
# The second variable is for the environment that newer versions of pip build packages in.
PIN = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
PIP_INSTALL = -m pip --quiet --quiet --disable-pip-version-check install

.PHONY: demo demo-web test docs constraints clean

demo: .venv-demo/ready
	.venv-demo/bin/python examples/demo.py demo

demo-web: .venv-demo/ready
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	.venv-demo/bin/sr4 export photo-x4 sr4-fast --format web -o build/web --overwrite

test: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest --numprocesses auto --dist worksteal --cov --cov-fail-under=94

docs: .venv-test/ready
	NO_MKDOCS_2_WARNING=true .venv-test/bin/mkdocs build --strict

.venv-demo/ready: pyproject.toml constraints.txt
	@echo "Installing sr4 into .venv-demo"
	$(PYTHON) -m venv .venv-demo
	$(PIN) .venv-demo/bin/python $(PIP_INSTALL) --editable .
	@touch $@

.venv-test/ready: pyproject.toml constraints.txt
	@echo "Installing sr4, PyTorch and the test tools into .venv-test (some minutes)"
	$(PYTHON) -m venv .venv-test
	$(PIN) .venv-test/bin/python $(PIP_INSTALL) --editable ".[train,remote,openvino,heic,serve,cluster,docs,dev]"
	@touch $@

constraints: .venv-test/ready
	.venv-test/bin/python scripts/pin.py > constraints.tmp
	mv constraints.tmp constraints.txt
	@touch .venv-test/ready

clean:
	rm -rf .venv-demo .venv-test demo build web/node_modules
