"""What a fine-tune changed inside: the features of sparse autoencoders trained on the base."""
