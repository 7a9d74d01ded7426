"""`kedro run` does what is missing or stale: records beside the data are held against the present."""
