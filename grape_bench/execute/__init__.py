"""From a list of jobs to a record of each, one process per job."""
