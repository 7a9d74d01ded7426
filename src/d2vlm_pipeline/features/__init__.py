"""Features of frozen encoders: computed once, stored in shards."""
