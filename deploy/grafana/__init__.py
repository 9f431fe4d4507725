"""The Grafana dashboards, as code: `python -m deploy.grafana.build` writes them to `dashboards/`."""
