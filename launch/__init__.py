"""One short app per job: flags, a frozen config, run."""
