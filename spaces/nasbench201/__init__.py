"""NAS-Bench-201: the topology and the size space of NATS-Bench, and their networks."""
