"""The smallest classifier of every family of keras.applications, and transformers of Keras' own attention."""

APPLICATIONS = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
)
NAMES = (*APPLICATIONS, "vit_token", "vit_mean", "vit_flatten")
# Of what applications classify into; fewer than any map has channels.
CLASSES = 37


def build(name):
    """The classifier."""
    import keras

    if name in APPLICATIONS:
        return getattr(keras.applications, name)(weights=None, classes=CLASSES)
    return transformer(name.removeprefix("vit_"))


def transformer(read, side=112, patch=16, width=48, heads=3, blocks=3):
    """A ViT of `keras.layers.MultiHeadAttention`: its class token is read, the mean of its tokens, or all of them."""
    import keras
    from keras import layers

    image = keras.Input((side, side, 3))
    tokens = layers.Conv2D(width, patch, strides=patch)(image)
    count = (side // patch) ** 2
    tokens = layers.Reshape((count, width))(tokens)
    if read == "token":
        tokens, count = ClassToken.layer()(tokens), count + 1
    positions = layers.Embedding(count, width)(keras.ops.arange(count))
    tokens = tokens + keras.ops.expand_dims(positions, 0)
    for _ in range(blocks):
        normed = layers.LayerNormalization()(tokens)
        tokens = tokens + layers.MultiHeadAttention(heads, width // heads)(normed, normed)
        hidden = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(tokens))
        tokens = tokens + layers.Dense(width)(hidden)
    tokens = layers.LayerNormalization()(tokens)
    if read == "token":
        features = tokens[:, 0]
    elif read == "mean":
        features = layers.GlobalAveragePooling1D()(tokens)
    else:
        features = layers.Dense(64, activation="gelu")(layers.Flatten()(tokens))
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(features))


class ClassToken:
    """A learned token before all others."""

    @staticmethod
    def layer():
        import keras

        class Prepended(keras.layers.Layer):
            def build(self, shape):
                self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="normal")

            def call(self, tokens):
                shape = (keras.ops.shape(tokens)[0], 1, tokens.shape[-1])
                return keras.ops.concatenate([keras.ops.broadcast_to(self.token, shape), tokens], axis=1)

        return Prepended()
