"""The types that travel through the program: a job, its record, a suite's manifest, and the files they are kept in.

Nothing here imports torch, pydantic or another room of the package.
"""
