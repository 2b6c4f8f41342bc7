"""Cultivar: the generated stubs, the Python client and the command line."""
