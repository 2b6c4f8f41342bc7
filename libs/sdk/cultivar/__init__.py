"""Cultivar: the generated stubs, the Python client and the command line."""

import os

# gRPC's own notices about forks go to standard error, among what a person reads there.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
