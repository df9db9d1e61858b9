"""`python -m grape_bench`: the command line."""

from grape_bench.cli.main import main

if __name__ == "__main__":
    main()
