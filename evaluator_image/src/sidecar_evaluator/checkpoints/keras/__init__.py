"""The two formats that Keras writes: weights files, `NAME.weights.h5`, and archives, `NAME.keras`."""
