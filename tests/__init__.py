"""The tests; a package of its own name, since a wheel among the test requirements installs another `tests`."""
