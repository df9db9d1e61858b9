"""The learning rules, one module per rule and per family. The contract is in `grape_bench.network.rule`."""
