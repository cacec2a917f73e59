"""Worker: a trained YOLOv8n, by ultralytics' own exporter, which always writes `reverse_input_channels`.

The weights are those of nudenet (PyPI), which finds faces, among others; what is to be seen is what ultralytics itself
sees with the exported model.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import onnx
import torch
from PIL import Image
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from . import worker

CLASSES, SIZE = 18, 320


def trained():
    """The network with the weights that lie in nudenet's ONNX file under the same names."""
    file = Path(find_spec("nudenet").origin).with_name("320n.onnx")
    found = {one.name: torch.tensor(onnx.numpy_helper.to_array(one)) for one in onnx.load(file).graph.initializer}
    network = DetectionModel("yolov8n.yaml", nc=CLASSES, verbose=False).eval()
    network.fuse(verbose=False)
    own = network.state_dict()
    network.load_state_dict({name: found.get(name, value) for name, value in own.items()})
    network.names = {index: f"kind {index}" for index in range(CLASSES)}
    network.args = {"imgsz": SIZE, "data": "coco8.yaml"}
    return network


def main():
    folder, _ = worker.arguments()
    folder = folder / "ultralytics"
    photo = folder / "astronaut.png"
    from skimage import data

    Image.fromarray(data.astronaut()).save(photo)
    model = YOLO("yolov8n.yaml", task="detect", verbose=False)
    model.model, model.ckpt_path = trained(), str(folder / "faces.pt")
    model.model.task, model.model.pt_path = "detect", model.ckpt_path
    os.chdir(folder)
    out = folder / "faces_openvino_model"
    shutil.rmtree(out, ignore_errors=True)
    model.export(format="openvino", imgsz=SIZE, verbose=False)
    [found] = YOLO(out, task="detect").predict(photo, imgsz=SIZE, conf=0.5, verbose=False)
    boxes = zip(found.boxes.cls.tolist(), found.boxes.conf.tolist(), found.boxes.xyxy.tolist())
    worker.made(out / "faces.xml", photo, [[int(kind), score, box] for kind, score, box in boxes])


if __name__ == "__main__":
    main()
