"""How the pipeline runs: jobs and their replies, the work of one machine or of several, a run that survives a stop."""
