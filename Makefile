# Everything is installed from uv.lock into .venv; uv itself comes from PyPI into .uv.
PYTHON ?= python3
UV ?= .uv/bin/uv
BIN := .venv/bin
# The system's certificates, so that a company's proxy is believed where the system believes it.
SYNC = UV_SYSTEM_CERTS=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 $(UV) sync --frozen --inexact --quiet --python $(PYTHON)
BUNDLES ?=
BUNDLE ?= $(wildcard server/bundles/pieces-????????)
LISTEN ?= 127.0.0.1:5000
IMAGE ?= server
VARIANT ?= cpu
CLUSTER ?= $(HOME)/.cache/imago-cluster
REPOSITORY ?=
OVERLAY ?=
NAMESPACE ?= imago
ARGS ?=
WORKERS ?= 2
PYTHON_IMAGE ?= python:3.11-slim-bookworm
JAX ?= tests/training tests/bundle/test_canonical.py tests/bundle/test_engine.py

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-jax soak test-images test-cluster check audit kubectl image push deploy rollback bench bench-peers peers-kserve bench-serving bench-fronts bench-xml bench-training bench-export app-model bundles samples browser docker screenshots lock format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(UV) ## everything for training, serving and developing
	$(SYNC) --extra serve --extra train --extra export --extra dev

serve: $(UV) ## serve the embedded default (BUNDLES="DIR ..." for yours) on http://127.0.0.1:5000; no TensorFlow
	$(SYNC) --extra serve
	$(BIN)/imago serve --listen $(LISTEN) $(addprefix --bundle ,$(BUNDLES))

test: setup ## all tests; those that need a browser or data that is not there skip with their reason (WORKERS=1: one after the other)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

test-jax: setup ## the tests of training, and of what touches Keras, once more on JAX in place of TensorFlow
	KERAS_BACKEND=jax $(BIN)/pytest -n $(WORKERS) --dist loadfile $(JAX)

soak: setup ## what takes minutes: fuzz, floods, 100 reloads, clock jumps (faketime, where Debian's is installed)
	$(BIN)/pytest -m soak -s tests/bundle tests/server

check: setup ## formatting, lint, types, manifests, Dockerfiles
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/hadolint docker/*.Dockerfile

test-cluster: setup kubectl ## roll out on a real Kubernetes of one node (as root, on Debian; the first time ten minutes more, to build it)
	nice tests/cluster/build.sh $(CLUSTER)
	IMAGO_CLUSTER_CACHE=$(CLUSTER) PATH="$(CURDIR)/.kubectl:$$PATH" $(BIN)/pytest -m cluster -s tests/cluster tests/deploy

audit: kubectl $(UV) ## checkov over manifests and Dockerfiles (its install takes minutes, into .audit)
	$(UV) venv --quiet --clear --python $(PYTHON) .audit/venv
	UV_SYSTEM_CERTS=1 $(UV) pip install --quiet --python .audit/venv checkov==3.3.30
	mkdir -p .audit/rendered
	for overlay in eks gpu canary; do .kubectl/kubectl kustomize k8s/overlays/$$overlay > .audit/rendered/$$overlay.yaml || exit 1; done
	.audit/venv/bin/checkov --config-file .checkov.yaml -d .audit/rendered -d docker

image: ## build a container image (IMAGE=server, training or converter; VARIANT=gpu; PYTHON_IMAGE=NAME@sha256:...)
	$(PYTHON) docker/build.py $(IMAGE) --variant $(VARIANT) --python-image $(PYTHON_IMAGE)

test-images: setup ## build the server's image, run it, push it, pull it (as root, with Debian's docker.io, docker-compose, docker-registry, apache2-utils, debootstrap)
	$(BIN)/pytest -m images tests/images tests/deploy

push: $(UV) ## build the server's image, push it to REPOSITORY (ECR's is made) and pin it in OVERLAY (VARIANT=gpu, ARGS="...")
	$(if $(REPOSITORY),,$(error REPOSITORY=HOST/NAME is needed))
	$(SYNC) --extra serve
	$(BIN)/python docker/push.py $(REPOSITORY) --build --variant $(VARIANT) $(if $(OVERLAY),--overlay $(OVERLAY)) $(ARGS)

deploy: ## apply k8s/overlays/OVERLAY and watch it; what does not get ready is taken back, with its reason
	$(if $(OVERLAY),,$(error OVERLAY=eks is needed))
	$(PYTHON) k8s/deploy.py deploy $(OVERLAY) --namespace $(NAMESPACE) $(ARGS)

rollback: ## go back to the last revision that got ready (ARGS="--to-revision N"), and say what serves
	$(PYTHON) k8s/deploy.py rollback --namespace $(NAMESPACE) $(ARGS)

kubectl: ## Debian's kubectl that knows kustomize's components, into .kubectl (with apt)
	[ -x .kubectl/kubectl ] || .ci/kubectl

bench: setup ## measure, and write bench/RESULTS.md (IMAGO_DATA names the folder with data and weights)
	$(BIN)/python -m bench.skeleton

bench-peers: $(UV) ## install what we are measured against into .peers
	for peer in litserve bentoml; do $(UV) venv --quiet --clear --python $(PYTHON) .peers/$$peer; done
	UV_SYSTEM_CERTS=1 $(UV) pip install --quiet --python .peers/litserve litserve==0.2.19 python-multipart onnxruntime==1.31.1 pillow==13.0.0
	UV_SYSTEM_CERTS=1 $(UV) pip install --quiet --python .peers/bentoml bentoml==1.4.39 onnxruntime==1.31.1 pillow==13.0.0
	UV_SYSTEM_CERTS=1 $(UV) pip install --quiet --python $(PYTHON) --target .peers/fronts gevent==26.9.0 a2wsgi==1.10.10 gunicorn-h1c==0.6.9 uvloop==0.23.0

peers-kserve: $(UV) ## install KServe's client into .peers; tests speak with it where it is
	$(UV) venv --quiet --clear --python $(PYTHON) .peers/kserve
	UV_SYSTEM_CERTS=1 $(UV) pip install --quiet --python .peers/kserve kserve==0.21.0

bench-serving: setup ## measure the server against its own raw loop and its peers (needs wrk; make bench-peers)
	$(BIN)/python -m bench.serving

bench-fronts: setup ## measure our loop against gunicorn's own workers (needs wrk; make bench-peers)
	$(BIN)/python -m bench.fronts $(BUNDLES)

bench-xml: setup ## train on pages and patterns and measure image to XML (hours; ONLY=speed,valid for parts, WORK=DIR keeps what was trained)
	$(BIN)/python -m bench.xml $(if $(ONLY),--only $(ONLY)) $(if $(WORK),--work $(WORK))

bench-training: setup ## train classifiers and measure seconds, accuracy and what of it is served (ONLY=seconds,cards for parts, WORK=DIR keeps caches)
	$(BIN)/python -m bench.training $(if $(ONLY),--only $(ONLY)) $(if $(WORK),--work $(WORK))

bench-export: setup ## export and import, and measure how far each format is from Keras (ONLY=exact,rounded,seconds,back; WORK=DIR keeps what was made)
	$(BIN)/python -m bench.export $(if $(ONLY),--only $(ONLY)) $(if $(WORK),--work $(WORK))

app-model: setup ## put a bundle's Core ML export into the iOS app (BUNDLE=DIR; the embedded classifier)
	$(BIN)/imago export $(BUNDLE) --to coreml --out .exports
	$(BIN)/python app/model.py .exports/coreml

bundles: setup ## draw the pictures and train the embedded default again
	$(BIN)/python -m training.default
	$(BIN)/python -m training.tryouts
	[ -z "$$IMAGO_DATA" ] || $(BIN)/python -m bench.pieces server/bundles/pieces-???????? --report

samples: setup ## draw the pictures that the page offers for trying again (a part of make bundles)
	$(BIN)/python -m training.tryouts

browser: ## install Debian's Chromium for the browser tests (as root)
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -qq --no-install-recommends -y chromium >/dev/null; }

docker: ## install Debian's Docker, registry and debootstrap for make test-images (as root)
	which dockerd docker-compose docker-registry htpasswd debootstrap iptables >/dev/null || \
		{ apt-get update -qq && apt-get install -qq --no-install-recommends -y docker.io docker-compose docker-registry apache2-utils debootstrap iptables >/dev/null; }

screenshots: setup ## the page in every state, both themes and three widths, into FOLDER (screenshots; BUNDLES="DIR ..." for yours)
	$(BIN)/python -m bench.screenshots $(or $(FOLDER),screenshots) $(BUNDLES)

lock: $(UV) ## write uv.lock anew from pyproject.toml
	UV_SYSTEM_CERTS=1 $(UV) lock

format: setup ## let ruff format and mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was installed and cached here
	rm -rf .venv .uv .peers .kubectl .audit .exports .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

.uv/bin/uv: uv.lock .ci/uv.py
	$(PYTHON) .ci/uv.py
	@touch $@
