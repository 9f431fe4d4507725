"""How a fine-tune changed what the model says: consistency, robustness, suppression, accuracy."""
