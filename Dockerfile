# BASE needs Python 3.11 or newer as `python3`, with venv, and useradd.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_CACHE_DIR=/var/cache/pip \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# pip and the build backend live in /build alone: the environment that is shipped has neither.
RUN --mount=type=cache,target=/var/cache/pip \
    python3 -m venv /build \
    && python3 -m venv --without-pip /opt/barid \
    && /build/bin/pip install --require-hashes --only-binary=:all: --requirement requirements-build.lock \
    && /build/bin/pip --python /opt/barid/bin/python install \
        --require-hashes --only-binary=:all: --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY keys keys
COPY broker broker
RUN /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/barid/bin/python install --no-deps --no-index /wheels/*.whl

FROM ${BASE}
RUN groupadd --system --gid 10001 barid \
    && useradd --system --uid 10001 --gid barid --home-dir /var/lib/barid --no-create-home barid \
    && install --directory --owner barid --group barid --mode 0700 /var/lib/barid
COPY --from=build /opt/barid /opt/barid
ENV PATH=/opt/barid/bin:$PATH \
    BARID_DATA=/var/lib/barid \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/barid
VOLUME /var/lib/barid
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 CMD ["barid", "hub", "health"]
ENTRYPOINT ["barid"]
CMD ["--help"]
