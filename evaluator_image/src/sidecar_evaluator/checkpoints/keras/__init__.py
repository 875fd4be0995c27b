"""What Keras writes: weights files and archives."""
