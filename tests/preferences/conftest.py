"""Hand-written samples of every answer form, and a donor pool with near misses."""

from hypothesis import settings

# Property tests do not fail because the machine is busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
