# The commands a person types. Each needs only Python 3.11+, make and git; .venv is made on the first call.
# ARGS is passed on: make demo ARGS=--once · make test ARGS="-k decode" · make bench NAME=ga4_throughput

PYTHON ?= python3
RUN := .venv/bin
ARGS ?=

.PHONY: demo up test check bench

demo: .venv/.synced ; @exec $(RUN)/steadfast demo $(ARGS)
up: .venv/.synced ; @exec $(RUN)/steadfast up $(ARGS)
test: .venv/.synced ; @sh .ci/bootstrap browser && exec $(RUN)/python -m pytest $(ARGS)
check: .venv/.synced ; @$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy && $(RUN)/python -m pytest -q tests/unit tests/house $(ARGS)
bench: .venv/.synced ; @test -f "bench/$(NAME).py" || { echo "make bench NAME=…; there are: $$(cd bench && ls *.py | sed 's/\.py//' | tr '\n' ' ')"; exit 2; }; exec $(RUN)/python bench/$(NAME).py $(ARGS)

.venv/.synced: uv.lock pyproject.toml ; @PYTHON="$(PYTHON)" sh .ci/bootstrap
