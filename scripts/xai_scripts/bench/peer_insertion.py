"""Worker: inserts with `openvino_xai`. Arguments: the model, and the path to write."""

import sys

import openvino
import openvino_xai


def main(source, out):
    """Read, insert, write."""
    model = openvino.Core().read_model(source)
    inserted = openvino_xai.insert_xai(model, task=openvino_xai.Task.CLASSIFICATION)
    openvino.save_model(inserted, out, compress_to_fp16=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
