"""Worker: a classifier of getitune with its exporter, whose mean and scale are those of pixels of 0 to 1."""

from getitune.backend.lightning.models.classification.multiclass_models.timm_model import TimmModelMulticlassCls
from getitune.config.data import IntensityConfig
from getitune.types.export import ExportFormat

from . import weights, worker


def main():
    folder, photo = worker.arguments()
    model = TimmModelMulticlassCls(label_info=1000, model_name="mobilenetv2_100", pretrained=False)
    weights.filled(model.model)
    model.data_input_params.intensity_config = IntensityConfig()
    path = model.export(folder / "getitune", "model", ExportFormat.OPENVINO)
    worker.made(path, photo)


if __name__ == "__main__":
    main()
