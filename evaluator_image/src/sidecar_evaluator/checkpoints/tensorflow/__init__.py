"""What TensorFlow writes: an index and data shards."""
