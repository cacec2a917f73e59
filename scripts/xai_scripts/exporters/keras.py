"""Worker: keras.applications with its normalisation inside, as a SavedModel, by `openvino.convert_model`."""

import keras
import numpy as np
import openvino as ov

from PIL import Image

from . import weights, worker

MEAN, DEVIATION = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def main():
    folder, photo = worker.arguments()
    network = keras.applications.MobileNetV2(weights=None)
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    convolutions = [layer for layer in network.layers if isinstance(layer, kinds)]
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    *folded, (last, bias) = weights.layers()
    for convolution, norm, (weight, shift) in zip(convolutions, norms, folded, strict=True):
        depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
        convolution.set_weights([weight.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))])
        none = np.zeros_like(shift)
        norm.set_weights([none + 1, shift, none, none + 1 - norm.epsilon])
    network.layers[-1].set_weights([last.T, bias])
    image = keras.Input((224, 224, 3))
    scores = network(keras.layers.Normalization(mean=MEAN, variance=DEVIATION**2)(image))
    whole = keras.Model(image, scores)
    pixels = np.asarray(Image.open(photo).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    own = whole.predict(pixels[None], verbose=0)[0]
    whole.export(folder / "keras" / "saved", verbose=False)
    path = folder / "keras" / "model.xml"
    ov.save_model(ov.convert_model(folder / "keras" / "saved"), path)
    # Keras pads strided convolutions on one side, so that it sees the photo half a pixel off the others.
    worker.made(path, photo, [[int(own.argmax()), float(own.max()), None]])


if __name__ == "__main__":
    main()
