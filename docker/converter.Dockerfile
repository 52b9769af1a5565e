# The converter: a bundle in, other runtimes' files out. `make image IMAGE=converter` builds it.
#   docker run --rm --user "$(id -u):$(id -g)" --network none -v "$PWD/bundles":/bundles:ro -v "$PWD/out":/work \
#     imago-converter export /bundles/photos-XXXXXXXX --to onnx --out /work
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# ---- what uv.lock names, each file by its hash ----
FROM ${PYTHON_IMAGE} AS libraries
ENV UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/imago
WORKDIR /build
COPY .ci/uv.py .ci/uv.py
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    if [ -s /run/secrets/ca.crt ]; then export SSL_CERT_FILE=/run/secrets/ca.crt PIP_CERT=/run/secrets/ca.crt; fi; \
    python3 .ci/uv.py \
    && .uv/bin/uv sync --quiet --frozen --no-install-project --extra train --extra export \
    && .uv/bin/uv export --quiet --frozen --no-emit-project --no-annotate --extra train --output-file locked.txt \
    && sed -n '/^setuptools==/,/[^\\]$/p' locked.txt > builder.txt \
    && .uv/bin/uv venv --quiet builder \
    && .uv/bin/uv pip install --quiet --require-hashes --python builder --requirements builder.txt
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/imago/lib \
    && /opt/imago/bin/python -c "import sysconfig; print('/srv/imago', file=open(sysconfig.get_path('purelib') + '/imago.pth', 'w'))" \
    && rm -f /opt/imago/.lock

# ---- Imago itself: a small layer of its own, since it changes more often; it needs neither network nor secret ----
FROM libraries AS application
COPY LICENSE README.md imago.py ./
COPY bundle bundle
COPY converter converter
COPY training training
COPY server server
RUN .uv/bin/uv build --quiet --offline --wheel --no-build-isolation --python builder --out-dir dist \
    && .uv/bin/uv pip install --quiet --offline --no-deps --python /opt/imago/bin/python --target /srv/imago dist/*.whl \
    && rm -f /srv/imago/.lock
COPY docker/sbom.py docker/sbom.py
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /srv/imago \
    && /opt/imago/bin/python docker/sbom.py imago-converter --lock uv.lock --output /usr/share/imago/sbom.json

# ---- what runs ----
FROM ${PYTHON_IMAGE}
RUN --mount=type=bind,from=application,source=/opt/imago,target=/opt/imago \
    --mount=type=bind,from=application,source=/srv/imago,target=/srv/imago \
    --mount=type=bind,source=docker,target=/mnt \
    /opt/imago/bin/python /mnt/bare.py bundle.cli numpy
COPY --from=libraries /opt/imago /opt/imago
COPY --from=application /srv/imago /srv/imago
COPY --from=application /usr/share/imago /usr/share/imago
# Without the last, onnxruntime's own builds report their use to its makers.
ENV PATH=/srv/imago/bin:/opt/imago/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /work
USER 10001:10001
STOPSIGNAL SIGTERM
# It ends with its work, and its exit status says how.
HEALTHCHECK NONE
ENTRYPOINT ["imago"]
CMD ["export", "--help"]
# Last, so that a new revision alone builds nothing again.
ARG PYTHON_IMAGE
ARG BASE_DIGEST=unknown
ARG CREATED=unknown
ARG LOCK_SHA256=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title=imago-converter \
    org.opencontainers.image.version=$VERSION \
    org.opencontainers.image.revision=$REVISION \
    org.opencontainers.image.created=$CREATED \
    org.opencontainers.image.source=$SOURCE \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.base.name=$PYTHON_IMAGE \
    org.opencontainers.image.base.digest=$BASE_DIGEST \
    imago.lock.sha256=$LOCK_SHA256
