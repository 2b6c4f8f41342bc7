# The image of every service, without torch: built by docker or buildah alike, in the folder of the repository.
#   docker build -f deploy/docker/service.Dockerfile -t cultivar:0.1.0 .
# BASE is any Debian 12, whose Python is the one that requirements/ is pinned for. PIP_CERT and PIP_INDEX_URL are pip's
# own variables, for a build behind a mirror.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG PIP_CERT
ARG PIP_INDEX_URL
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv \
    && python3 -m venv /opt/cultivar
COPY requirements/services.txt /source/requirements/
RUN /opt/cultivar/bin/pip install --quiet --no-cache-dir --require-hashes -r /source/requirements/services.txt
COPY LICENSE README.md pyproject.toml /source/
COPY libs /source/libs
COPY services /source/services
RUN /opt/cultivar/bin/pip install --quiet --no-cache-dir --no-deps /source \
    && /opt/cultivar/bin/pip uninstall --quiet --yes pip setuptools

FROM ${BASE} AS runtime
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin cultivar
COPY --from=build /opt/cultivar /opt/cultivar
ENV PATH=/opt/cultivar/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
ENTRYPOINT ["python", "-m"]

# What Tilt builds: its user owns the packages, so that a changed file can be put in place, and a signal starts anew.
FROM runtime AS development
COPY --chmod=755 deploy/docker/restarting /usr/local/bin/restarting
RUN chown -R 10001:10001 /opt/cultivar/lib/python3.11/site-packages
USER 10001:10001
ENTRYPOINT ["restarting", "python", "-m"]

FROM runtime AS service
USER 10001:10001
