"""One job: load the data, build the model, attach the rule, train, diagnose and time it."""
