"""Turn a suite's TOML file into a list of jobs. Importing it does not import torch."""
