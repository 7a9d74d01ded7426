"""A run made again from what it carries: the code, the configuration and the inputs of its lineage."""
