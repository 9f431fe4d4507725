"""What the images of `deploy/Dockerfile` are made with."""
