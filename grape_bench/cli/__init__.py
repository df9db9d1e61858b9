"""The command line: one module per subcommand; heavy libraries are imported when a command runs."""
