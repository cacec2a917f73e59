"""Write the Keras twin of the plain classifier. Runs on its own, under an interpreter that has
TensorFlow: `tensorflow_export.py saved_model|tflite PATH`."""

import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

SIZE = (32, 48)
CLASSES = 5


def classifier():
    """Three convolution blocks, mean, Dense; every weight seeded and nowhere trivial."""
    image = layers.Input((*SIZE, 3), batch_size=1, name="image")
    value = image
    for channels in (8, 16, 24):
        value = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(value)
        value = layers.BatchNormalization()(value)
        value = layers.ReLU()(value)
    value = layers.GlobalAveragePooling2D()(value)
    model = tf.keras.Model(image, layers.Dense(CLASSES, name="logits")(value))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random_weight(rng, weight))
    return model


def random_weight(rng, weight):
    if len(weight.shape) > 1:
        fan_in = np.prod(weight.shape[:-1])
        return rng.standard_normal(weight.shape) * np.sqrt(2 / fan_in)
    if weight.name in ("moving_variance", "gamma"):
        return rng.uniform(0.7, 1.3, weight.shape)
    return 0.2 * rng.standard_normal(weight.shape)


def main():
    form, path = sys.argv[1:]
    model = classifier()
    if form == "saved_model":
        model.export(path, verbose=False)
    else:
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        with open(path, "wb") as file:
            file.write(content)


if __name__ == "__main__":
    main()
