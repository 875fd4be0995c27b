"""Every layer of Keras 3 and of tf_keras that has state, each as a small model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

KERASES, KERAS_3, TF_KERAS = ("keras", "tf_keras"), ("keras",), ("tf_keras",)
_TEXTS = np.array(["red green", "green blue", "green"])
_WORDS = np.array([["red", "green"], ["green", "blue"], ["green", "green"]])
_NUMBERS = np.array([[1, 2], [2, 3], [2, 2]])


@dataclass(frozen=True)
class Stateful:
    """A layer with state: `make` gets the layers of a Keras, `shape` and `dtype` are those of its input.

    `adapt` is data from which it learns its state; `calls` is called with the layer and its input.
    """

    name: str
    make: Callable[[Any], Any]
    shape: tuple[int, ...] = (4,)
    dtype: str = "float32"
    adapt: Any = None
    calls: Callable[[Any, Any], Any] = lambda layer, inputs: layer(inputs)
    kerases: tuple[str, ...] = KERASES

    def __str__(self) -> str:
        return self.name

    def model(self, keras: Any) -> Any:
        """Build a model of this layer, adapted."""
        layer = self.make(keras.layers)
        if self.adapt is not None:
            layer.adapt(self.adapt)
        inputs = keras.layers.Input(self.shape, dtype=self.dtype)
        model = keras.Model(inputs, self.calls(layer, inputs))
        model.compile(keras.optimizers.SGD(), loss="mse")
        return model


def _attends(layer: Any, inputs: Any) -> Any:
    return layer([inputs, inputs])


def _attends_twice(layer: Any, inputs: Any) -> Any:
    return layer(inputs, inputs)


SEQUENCE, IMAGE, VOLUME = (4, 3), (4, 4, 3), (4, 4, 4, 3)

STATEFUL = (
    Stateful("Dense", lambda layers: layers.Dense(2)),
    Stateful("EinsumDense", lambda layers: layers.EinsumDense("ab,bc->ac", 3, bias_axes="c")),
    Stateful("Embedding", lambda layers: layers.Embedding(5, 2), dtype="int32"),
    Stateful("ReversibleEmbedding", lambda layers: layers.ReversibleEmbedding(5, 2), dtype="int32", kerases=KERAS_3),
    Stateful("Conv1D", lambda layers: layers.Conv1D(2, 2), SEQUENCE),
    Stateful("Conv2D", lambda layers: layers.Conv2D(2, 2), IMAGE),
    Stateful("Conv3D", lambda layers: layers.Conv3D(2, 2), VOLUME),
    Stateful("Conv1DTranspose", lambda layers: layers.Conv1DTranspose(2, 2), SEQUENCE),
    Stateful("Conv2DTranspose", lambda layers: layers.Conv2DTranspose(2, 2), IMAGE),
    Stateful("Conv3DTranspose", lambda layers: layers.Conv3DTranspose(2, 2), VOLUME),
    Stateful("SeparableConv1D", lambda layers: layers.SeparableConv1D(2, 2), SEQUENCE),
    Stateful("SeparableConv2D", lambda layers: layers.SeparableConv2D(2, 2), IMAGE),
    Stateful("DepthwiseConv1D", lambda layers: layers.DepthwiseConv1D(2), SEQUENCE),
    Stateful("DepthwiseConv2D", lambda layers: layers.DepthwiseConv2D(2), IMAGE),
    Stateful("LocallyConnected1D", lambda layers: layers.LocallyConnected1D(2, 2), SEQUENCE, kerases=TF_KERAS),
    Stateful("LocallyConnected2D", lambda layers: layers.LocallyConnected2D(2, 2), IMAGE, kerases=TF_KERAS),
    Stateful("PReLU", lambda layers: layers.PReLU()),
    Stateful("BatchNormalization", lambda layers: layers.BatchNormalization()),
    Stateful("LayerNormalization", lambda layers: layers.LayerNormalization()),
    Stateful("RMSNormalization", lambda layers: layers.RMSNormalization(), kerases=KERAS_3),
    Stateful("GroupNormalization", lambda layers: layers.GroupNormalization(2)),
    Stateful("SpectralNormalization", lambda layers: layers.SpectralNormalization(layers.Dense(2)), kerases=KERAS_3),
    Stateful("SimpleRNN", lambda layers: layers.SimpleRNN(2), SEQUENCE),
    Stateful("LSTM", lambda layers: layers.LSTM(2), SEQUENCE),
    Stateful("GRU", lambda layers: layers.GRU(2), SEQUENCE),
    Stateful("SimpleRNNCell", lambda layers: layers.RNN(layers.SimpleRNNCell(2)), SEQUENCE),
    Stateful("LSTMCell", lambda layers: layers.RNN(layers.LSTMCell(2)), SEQUENCE),
    Stateful("GRUCell", lambda layers: layers.RNN(layers.GRUCell(2)), SEQUENCE),
    Stateful(
        "StackedRNNCells",
        lambda layers: layers.RNN(layers.StackedRNNCells([layers.GRUCell(2), layers.GRUCell(2)])),
        SEQUENCE,
    ),
    Stateful("Bidirectional", lambda layers: layers.Bidirectional(layers.LSTM(2)), SEQUENCE),
    Stateful("TimeDistributed", lambda layers: layers.TimeDistributed(layers.Dense(2)), SEQUENCE),
    Stateful("ConvLSTM1D", lambda layers: layers.ConvLSTM1D(2, 2), (2, *SEQUENCE)),
    Stateful("ConvLSTM2D", lambda layers: layers.ConvLSTM2D(2, 2), (2, *IMAGE)),
    Stateful("ConvLSTM3D", lambda layers: layers.ConvLSTM3D(2, 2), (2, *VOLUME)),
    Stateful("Attention", lambda layers: layers.Attention(use_scale=True), SEQUENCE, calls=_attends),
    Stateful("AdditiveAttention", lambda layers: layers.AdditiveAttention(), SEQUENCE, calls=_attends),
    Stateful("MultiHeadAttention", lambda layers: layers.MultiHeadAttention(2, 2), SEQUENCE, calls=_attends_twice),
    Stateful(
        "GroupedQueryAttention",
        lambda layers: layers.GroupQueryAttention(2, 2, 1),
        SEQUENCE,
        calls=_attends_twice,
        kerases=KERAS_3,
    ),
    Stateful("Pipeline", lambda layers: layers.Pipeline([layers.Dense(2)]), kerases=KERAS_3),
    Stateful("Dropout", lambda layers: layers.Dropout(0.5, seed=1)),
    Stateful("RandomFlip", lambda layers: layers.RandomFlip(seed=1), IMAGE),
    Stateful("Normalization", lambda layers: layers.Normalization(), adapt=np.arange(12.0).reshape(3, 4)),
    Stateful("Discretization", lambda layers: layers.Discretization(num_bins=3), adapt=np.arange(12.0).reshape(3, 4)),
    Stateful("IntegerLookup", lambda layers: layers.IntegerLookup(), (2,), "int64", _NUMBERS),
    Stateful("StringLookup", lambda layers: layers.StringLookup(), (2,), "string", _WORDS),
    Stateful("TextVectorization", lambda layers: layers.TextVectorization(), (1,), "string", _TEXTS),
    Stateful(
        "IntegerLookup, tf_idf",
        lambda layers: layers.IntegerLookup(vocabulary=[1, 2], idf_weights=[0.5, 2.0], output_mode="tf_idf"),
        (2,),
        "int64",
    ),
    Stateful(
        "StringLookup, tf_idf",
        lambda layers: layers.StringLookup(vocabulary=["red", "blue"], idf_weights=[0.5, 2.0], output_mode="tf_idf"),
        (2,),
        "string",
    ),
    Stateful(
        "TextVectorization, tf_idf",
        lambda layers: layers.TextVectorization(output_mode="tf_idf"),
        (1,),
        "string",
        _TEXTS,
    ),
)

# Layers without weights, or with a random state only, base classes, and wrappers of code that is not of Keras.
_NAMES_WITHOUT_STATE = """
    AbstractRNNCell Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AlphaDropout
    AugMix AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D CategoryEncoding CenterCrop
    Concatenate ContrastLimitedAdaptiveHistogramEqualization Cropping1D Cropping2D Cropping3D CutMix
    DenseFeatures Dot ELU Equalization Flatten FlaxLayer GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    HashedCrossing Hashing Identity InputLayer JaxLayer Lambda Layer LeakyReLU Masking MaxNumBoundingBoxes
    MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp Multiply Permute RNN RandAugment
    RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
    RandomErasing RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective
    RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation
    RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing STFTSpectrogram Softmax Solarization
    SpatialDropout1D SpatialDropout2D SpatialDropout3D Subtract TFSMLayer ThresholdedReLU TorchModuleWrapper
    UnitNormalization UpSampling1D UpSampling2D UpSampling3D Wrapper ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
WITHOUT_STATE = set(_NAMES_WITHOUT_STATE.split())
