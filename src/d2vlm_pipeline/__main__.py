"""`python -m d2vlm_pipeline`: `kedro run` of the installed package, configured by `--conf-source`."""

from kedro.framework.project import configure_project

from d2vlm_pipeline.orchestration.run_command import run


def main() -> None:
    """Run the command line."""
    configure_project("d2vlm_pipeline")
    run()


if __name__ == "__main__":
    main()
