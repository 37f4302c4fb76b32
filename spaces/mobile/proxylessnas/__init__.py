"""The space of ProxylessNAS, its networks, their latencies."""
