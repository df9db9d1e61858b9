"""One job: data, model and rule, trained, diagnosed and timed."""
