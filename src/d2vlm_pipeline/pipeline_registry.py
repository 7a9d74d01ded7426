"""The pipelines Kedro can run."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from d2vlm_pipeline.orchestration.stages import STAGES


def register_pipelines() -> dict[str, Pipeline]:
    """Every pipeline by its folder's name, and the main job as `__default__`.

    Under `kedro run --pipelines x` Kedro looks for x alone, so the main job is summed over what was found.
    """
    pipelines = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum((pipelines[name] for name in STAGES if name in pipelines), Pipeline([]))
    return pipelines
