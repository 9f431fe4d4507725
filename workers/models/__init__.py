"""Language models: found, checked, loaded, and asked."""

import os

# Before transformers is imported: nothing that a checkpoint's files name is looked for at a hub, kernels included.
os.environ["HF_HUB_OFFLINE"] = "1"
