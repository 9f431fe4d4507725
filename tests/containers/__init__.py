"""The images, built, and deploy/compose.yaml, run, on a Docker Engine and without an image registry.

``python -m tests.containers`` as root; docs/deploy.md says what it takes and what was seen.
"""
