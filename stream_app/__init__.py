"""The stream application: judges every training step as it arrives and emits signals."""
