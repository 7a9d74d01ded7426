-- Accounts lie apart from runs: each of MLflow's two schemas migrates by itself.
CREATE DATABASE mlflow_auth;
