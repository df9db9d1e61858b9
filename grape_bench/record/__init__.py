"""The types that all rooms exchange (a job, its record, a suite's manifest) and their files.

Nothing here imports torch, pydantic or another room of the package.
"""
