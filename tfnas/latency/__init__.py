"""Latency: how long a network takes, by a table of operations or measured here, and rewards that weigh it."""
