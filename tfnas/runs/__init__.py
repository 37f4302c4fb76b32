"""What a run leaves and how it gets done: records, shards and executors."""
