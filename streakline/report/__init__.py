"""The report of one run: what the lake knows of it, as one HTML file that needs nothing else."""
