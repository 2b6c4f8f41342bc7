# MinIO for trials where no registry has it, from a program built by `go install github.com/minio/minio@latest`.
#   docker build -f deploy/docker/minio.Dockerfile -t minio:trial FOLDER_OF_THE_PROGRAM
# BASE has the C library of the machine that built the program, or a newer one.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY minio /usr/bin/minio
USER 10001:10001
ENTRYPOINT ["/usr/bin/minio"]
