"""The guard of the catalog: suites of Great Expectations run on what is loaded and saved.

Great Expectations takes seconds to import: only who loads or saves a guarded dataset pays for it.
"""

from d2vlm_pipeline.orchestration.validation.guard import GuardError, SuiteGuard
from d2vlm_pipeline.orchestration.validation.outcome import Check, Outcome

__all__ = ["Check", "GuardError", "Outcome", "SuiteGuard"]
