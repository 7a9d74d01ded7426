"""Kedro pipelines, one folder each: nodes are pure functions, everything they persist is in the catalog."""
