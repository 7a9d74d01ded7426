"""A Kedro project in miniature, with this project's settings, registry and command line."""
