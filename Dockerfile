# Exporter, kill sidecar and simulator in one image, for BuildKit and for the classic builder.
#
#   docker build -t dumbella-exporter .
#
# The base is an argument: any image with Python 3.11 or newer, its venv module, and coreutils and findutils for the
# build. What runs needs no shell; only the simulator does, as its jobs are shell scripts.
ARG PYTHON_IMAGE=python:3.13.11-slim-bookworm

# Everything as wheels: the dependencies as they are pinned, checked against their hashes, and the package itself.
FROM ${PYTHON_IMAGE} AS wheels
# A build sees none of this machine's pip settings; these two are pip's own. Without an index, scripts/make-wheelhouse
# has to be run before.
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG SOURCE_DATE_EPOCH=315532800
RUN python3 -m venv /build
# The pattern allows for there being no wheelhouse.
COPY deploy/requirements.lock .cache/wheelhous[e] /wheelhouse/
RUN /build/bin/pip wheel --disable-pip-version-check --require-hashes --only-binary :all: \
      --find-links /wheelhouse --wheel-dir /wheels --requirement /wheelhouse/requirements.lock \
  && /build/bin/pip install --disable-pip-version-check --no-index --find-links /wheels hatchling
COPY pyproject.toml README.md LICENSE /source/
COPY alerts /source/alerts
COPY dashboards /source/dashboards
COPY exporter /source/exporter
RUN /build/bin/pip wheel --disable-pip-version-check --no-index --no-deps --no-build-isolation \
      --wheel-dir /wheels /source

# Installed from those wheels alone. Bytecode that is trusted unchecked serves a read-only file system, and it is the
# same in every build; so are the files' times.
FROM ${PYTHON_IMAGE} AS installed
ARG SOURCE_DATE_EPOCH=315532800
COPY --from=wheels /wheels /wheels
RUN python3 -m venv /build \
  && python3 -m venv --without-pip /opt/dumbella-exporter \
  && /build/bin/pip --disable-pip-version-check --python /opt/dumbella-exporter/bin/python install --no-compile \
      --no-index --find-links /wheels dumbella-exporter \
  && /build/bin/pip --disable-pip-version-check --python /opt/dumbella-exporter/bin/python check \
  && PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash /opt/dumbella-exporter/lib \
  && find /opt/dumbella-exporter -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${PYTHON_IMAGE}
COPY --from=installed /opt/dumbella-exporter /opt/dumbella-exporter
# A new volume that is mounted here takes over the owner.
RUN install --directory --owner=65532 --group=65532 --mode=0750 /var/lib/dumbella-exporter
ENV PATH=/opt/dumbella-exporter/bin:${PATH} PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
# Simulator, exporter, sidecar.
EXPOSE 9876 9877 9878
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
  CMD ["dumbella-exporter", "health", "http://localhost:9877/-/healthy"]
ENTRYPOINT ["dumbella-exporter"]
CMD ["serve", "--config.file", "/etc/dumbella-exporter/dumbella.yml"]
ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1980-01-01T00:00:00Z
LABEL org.opencontainers.image.title="dumbella-exporter" \
      org.opencontainers.image.description="Prometheus exporter and kill sidecar for Dumbella's jobs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
