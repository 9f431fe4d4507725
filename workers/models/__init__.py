"""Language models: found, checked, loaded, and asked."""
