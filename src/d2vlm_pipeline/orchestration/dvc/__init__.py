"""dvc.yaml and its parameters, generated from pipelines and configuration; nothing here imports DVC."""
