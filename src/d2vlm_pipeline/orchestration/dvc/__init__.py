"""DVC: dvc.yaml and its parameters, generated from the pipelines and the configuration; nothing here imports DVC."""
