"""Train the small network and write a checkpoint every now and then: `python -m train DIRECTORY`.

An ordinary training: it knows nothing of the evaluator. Started again, it goes on at its last checkpoint.
"""

import sys
import time

import keras
import tensorflow as tf

import digits

CHECKPOINTS = 8
STEPS_BETWEEN = 150
BATCH = 128


def train(directory: str) -> None:
    """Train to the last step, with a checkpoint named after each STEPS_BETWEEN steps."""
    keras.utils.set_random_seed(1)
    model = digits.build_model()
    model.optimizer.build(model.trainable_variables)  # so that it has variables to restore
    state = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    manager = tf.train.CheckpointManager(state, directory, max_to_keep=CHECKPOINTS)
    manager.restore_or_initialize()
    batches = tf.data.Dataset.from_tensor_slices(digits.draw(20_000, seed=1)).shuffle(20_000).repeat().batch(BATCH)
    while (step := int(model.optimizer.iterations)) < CHECKPOINTS * STEPS_BETWEEN:
        started = time.monotonic()
        model.fit(batches, steps_per_epoch=STEPS_BETWEEN, shuffle=False, verbose=0)
        written = manager.save(checkpoint_number=step + STEPS_BETWEEN)
        print(f"{written}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    train(sys.argv[1])
