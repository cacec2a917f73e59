"""Worker: the fixture as Model API saves it for several labels at once; what is to be seen is what Model API sees."""

import numpy as np
from model_api.models import ClassificationModel
from PIL import Image

from ..common.paths import fixture
from . import worker

# The network was trained for one class, and its scores are large.
SETTINGS = {"multilabel": True, "confidence_threshold": 0.9998, "output_raw_scores": True}


def main():
    folder, photo = worker.arguments()
    path = folder / "model_api" / "model.xml"
    model = ClassificationModel.create_model(str(fixture("mobilenet_v2")), configuration=SETTINGS)
    model.save(str(path))
    # In the input's size already: Model API resizes without looking at all pixels, and some classes are at the threshold.
    pixels = Image.open(photo).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    seen = model(np.asarray(pixels))
    worker.made(path, photo, [[label.id, float(label.confidence), None] for label in seen.top_labels])


if __name__ == "__main__":
    main()
