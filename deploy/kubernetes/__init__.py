"""Streakline on Kubernetes: manifests for kustomize, and what is made from the rest of `deploy`."""
