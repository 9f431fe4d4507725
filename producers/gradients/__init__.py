"""The gradient norms of a model's layers. The only package, beside the integrations, that imports torch."""
