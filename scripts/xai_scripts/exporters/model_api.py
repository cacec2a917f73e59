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
    seen = model(np.asarray(Image.open(photo).convert("RGB")))
    worker.made(path, photo, [[label.id, float(label.confidence), None] for label in seen.top_labels])


if __name__ == "__main__":
    main()
