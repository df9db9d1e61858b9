"""Runs a list of jobs, one process per job, and gives every job a record."""
