"""What runs when a training run has ended: model diffs, SAE feature diffs and calibration, written to Parquet."""
