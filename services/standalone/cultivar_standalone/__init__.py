"""All services in one process, with the embedded database, store and teachers."""
