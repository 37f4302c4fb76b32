"""Everything under search spaces and proxies that knows neither: data, engine, records, statistics, training."""
