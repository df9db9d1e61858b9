"""The types that all subpackages exchange (a job, its record, a suite's manifest) and their files.

Nothing here imports torch, pydantic or another subpackage.
"""
