"""What every service is built from: settings, serve, identity, errors, database, durable runs, leases, audit."""
