"""What is kept of a run: records on disk, which are the truth, and their mirror in MLflow."""
