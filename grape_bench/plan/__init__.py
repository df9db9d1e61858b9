"""From a suite's TOML file to the list of jobs that it stands for; nothing here imports torch."""
