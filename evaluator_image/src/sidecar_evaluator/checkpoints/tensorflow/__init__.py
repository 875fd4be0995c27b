"""The format that `tf.train.Checkpoint` writes: an index file and data shards."""
