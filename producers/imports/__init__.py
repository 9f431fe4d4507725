"""What other tools recorded of a run, read as step events: trainer_state.json, TensorBoard, tables."""
