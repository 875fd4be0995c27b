"""Scores a Keras model: a compiled loop over many steps, or `model.evaluate` where the loop would give other scores.

`evaluator` is the only caller, except that `commands.model_setup` applies the options before the model is built.
"""
