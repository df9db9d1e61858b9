"""Objectives: what a model is trained for, one small file each."""
