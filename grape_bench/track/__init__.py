"""Reads the records of runs, and mirrors them to MLflow. The files on disk are the source of truth."""
