"""Answering people: the command line's `ask`; the HTTP API and the web page build on the same predictor."""
