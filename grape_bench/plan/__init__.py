"""Turn a suite's TOML file into a list of jobs. Nothing here imports torch."""
