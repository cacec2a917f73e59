"""Detectors of one stage, in the forms that their tails are exported in, and two that have to be refused."""

import numpy as np
import openvino as ov
import torch
from openvino import opset1, opset8, opset9
from torch import nn

from .cnn import conv_block
from .convert import convert_torch, name_ports, save
from .registry import fixture
from .torch_tools import prepare, smooth_images

SIZE = (64, 96)
CLASSES = 5
WIDTH = 12
STRIDES = (8, 16)


class Pyramid(nn.Module):
    """Feature maps of 12 channels at 1/8 and 1/16 of the image: 8x12 and 4x6 for 64x96."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_block(3, 6), conv_block(6, 8))
        self.fine = conv_block(8, WIDTH)
        self.coarse = conv_block(WIDTH, WIDTH)

    def forward(self, image):
        fine = self.fine(self.stem(image))
        return [fine, self.coarse(fine)]


def last(maps, fields):
    """`[N, A*fields, h, w]` as `[N, h*w*A, fields]`."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, fields)


class Ssd(nn.Module):
    """Convolutions for classes and boxes at three scales, the last of one position; raw boxes."""

    ANCHORS = (3, 6, 6)

    def __init__(self, activation=None, channels_last=False):
        super().__init__()
        self.pyramid = Pyramid()
        self.single = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, (4, 6)), nn.ReLU())
        self.scores = nn.ModuleList(nn.Conv2d(WIDTH, a * CLASSES, 1, bias=not channels_last) for a in self.ANCHORS)
        self.boxes = nn.ModuleList(nn.Conv2d(WIDTH, a * 4, 1) for a in self.ANCHORS)
        self.biases = None
        if channels_last:
            self.biases = nn.ParameterList(torch.randn(a * CLASSES) for a in self.ANCHORS)
        self.activation = activation or nn.Identity()

    def forward(self, image):
        maps = self.pyramid(image)
        maps.append(self.single(maps[-1]))
        scores = [head(features) for head, features in zip(self.scores, maps)]
        if self.biases is not None:
            # As TensorFlow adds a bias: channels last.
            biased = [score.permute(0, 2, 3, 1) + bias for score, bias in zip(scores, self.biases)]
            scores = [score.reshape(score.shape[0], -1, CLASSES) for score in biased]
        else:
            scores = [last(score, CLASSES) for score in scores]
        boxes = [last(head(features), 4) for head, features in zip(self.boxes, maps)]
        return torch.cat(boxes, 1), self.activation(torch.cat(scores, 1))


class Dense(nn.Module):
    """RetinaNet, ATSS, FCOS: one head for all scales; perhaps scores times centerness."""

    def __init__(self, anchors=1, centerness=False, activation=None, classes=CLASSES):
        super().__init__()
        self.pyramid = Pyramid()
        self.anchors, self.classes = anchors, classes
        self.tower = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU())
        self.score = nn.Conv2d(WIDTH, anchors * classes, 3, padding=1)
        self.box = nn.Conv2d(WIDTH, anchors * 4, 3, padding=1)
        self.center = nn.Conv2d(WIDTH, anchors, 3, padding=1) if centerness else None
        self.activation = activation or nn.Identity()

    def flat(self, maps, fields):
        """As torchvision does it: `[N, A, fields, h, w]` first."""
        batch, _, height, width = maps.shape
        split = maps.view(batch, -1, fields, height, width).permute(0, 3, 4, 1, 2)
        return split.reshape(batch, -1, fields)

    def forward(self, image):
        towers = [self.tower(features) for features in self.pyramid(image)]
        scores = torch.cat([self.flat(self.score(tower), self.classes) for tower in towers], 1)
        boxes = torch.cat([self.flat(self.box(tower), 4) for tower in towers], 1)
        scores = self.activation(scores)
        if self.center is not None:
            center = torch.cat([self.flat(self.center(tower), 1) for tower in towers], 1)
            scores = torch.sqrt(scores * center.sigmoid())
        return boxes, scores


class Raw(Dense):
    """The maps of a dense head as they are: scores and boxes of each scale."""

    def forward(self, image):
        towers = [self.tower(features) for features in self.pyramid(image)]
        return tuple(head(tower) for tower in towers for head in (self.score, self.box))


class Yolov3(nn.Module):
    """One convolution for boxes, objectness and classes of three anchors at each scale, not decoded."""

    def __init__(self):
        super().__init__()
        self.pyramid = Pyramid()
        self.heads = nn.ModuleList(nn.Conv2d(WIDTH, 3 * (5 + CLASSES), 1) for _ in STRIDES)

    def forward(self, image):
        return tuple(head(features) for head, features in zip(self.heads, self.pyramid(image)))


class Yolox(nn.Module):
    """Boxes, objectness and classes by convolutions of their own, both scores activated scale by scale."""

    def __init__(self, decode=False, multiply=False):
        super().__init__()
        self.pyramid = Pyramid()
        self.boxes = nn.ModuleList(nn.Conv2d(WIDTH, 4, 1) for _ in STRIDES)
        self.objectness = nn.ModuleList(nn.Conv2d(WIDTH, 1, 1) for _ in STRIDES)
        self.scores = nn.ModuleList(nn.Conv2d(WIDTH, CLASSES, 1) for _ in STRIDES)
        self.decode, self.multiply = decode, multiply

    def forward(self, image):
        heads = zip(self.pyramid(image), self.boxes, self.objectness, self.scores)
        outputs = [torch.cat([b(f), o(f).sigmoid(), s(f).sigmoid()], 1) for f, b, o, s in heads]
        sizes = [output.shape[-2:] for output in outputs]
        joined = torch.cat([output.flatten(2) for output in outputs], 2).permute(0, 2, 1)
        if not self.decode:
            return joined
        grids, strides = positions(sizes)
        centers = (joined[..., :2] + grids) * strides
        extents = torch.exp(joined[..., 2:4]) * strides
        if self.multiply:
            return torch.cat([centers, extents], -1), joined[..., 4:5] * joined[..., 5:]
        return torch.cat([centers, extents, joined[..., 4:]], -1)


def positions(sizes):
    """Column and row of every position, and its stride."""
    grids, strides = [], []
    for (height, width), stride in zip(sizes, STRIDES):
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grids.append(torch.stack([columns, rows], -1).reshape(1, -1, 2).float())
        strides.append(torch.full((1, height * width, 1), float(stride)))
    return torch.cat(grids, 1), torch.cat(strides, 1)


class Yolov8(nn.Module):
    """A distribution over distances for each side, joined with the classes before scales are joined."""

    BINS = 4

    def __init__(self):
        super().__init__()
        self.pyramid = Pyramid()
        self.boxes = nn.ModuleList(nn.Conv2d(WIDTH, 4 * self.BINS, 1) for _ in STRIDES)
        self.scores = nn.ModuleList(nn.Conv2d(WIDTH, CLASSES, 1) for _ in STRIDES)

    def forward(self, image):
        heads = zip(self.pyramid(image), self.boxes, self.scores)
        outputs = [torch.cat([b(f), s(f)], 1) for f, b, s in heads]
        sizes = [output.shape[-2:] for output in outputs]
        joined = torch.cat([o.view(o.shape[0], 4 * self.BINS + CLASSES, -1) for o in outputs], 2)
        boxes, scores = joined.split((4 * self.BINS, CLASSES), 1)
        bins = boxes.view(boxes.shape[0], 4, self.BINS, -1).transpose(1, 2).softmax(1)
        distances = (bins * torch.arange(self.BINS).view(1, -1, 1, 1)).sum(1)
        grids, strides = (tensor.transpose(1, 2) for tensor in positions(sizes))
        low, high = grids - distances[:, :2], grids + distances[:, 2:]
        decoded = torch.cat([(low + high) / 2, high - low], 1) * strides
        return torch.cat([decoded, scores.sigmoid()], 1)


class Yolov5(nn.Module):
    """One convolution for the boxes, objectness and classes of three anchors."""

    ANCHORS = 3

    def __init__(self):
        super().__init__()
        self.pyramid = Pyramid()
        fields = 5 + CLASSES
        self.heads = nn.ModuleList(nn.Conv2d(WIDTH, self.ANCHORS * fields, 1) for _ in STRIDES)

    def forward(self, image):
        outputs = []
        for features, head, stride in zip(self.pyramid(image), self.heads, STRIDES):
            raw = head(features)
            batch, _, height, width = raw.shape
            fields = raw.view(batch, self.ANCHORS, 5 + CLASSES, height, width).permute(0, 1, 3, 4, 2)
            xy, wh, conf = fields.contiguous().sigmoid().split((2, 2, CLASSES + 1), 4)
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            grid = torch.stack([columns, rows], -1).float() - 0.5
            anchors = torch.tensor([[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]]).view(1, 3, 1, 1, 2)
            decoded = torch.cat([(xy * 2 + grid) * stride, (wh * 2) ** 2 * anchors, conf], 4)
            outputs.append(decoded.view(batch, -1, 5 + CLASSES))
        return torch.cat(outputs, 1)


class Yolov5Product(Yolov5):
    """Decoded boxes, and class scores times the objectness of the same convolution."""

    def forward(self, image):
        joined = super().forward(image)
        return joined[..., :4], joined[..., 5:] * joined[:, :, 4].unsqueeze(2)


class BlazeFace(nn.Module):
    """One class, two and six anchors; boxes with six keypoints."""

    ANCHORS = (2, 6)

    def __init__(self):
        super().__init__()
        self.pyramid = Pyramid()
        self.scores = nn.ModuleList(nn.Conv2d(WIDTH, a, 1) for a in self.ANCHORS)
        self.boxes = nn.ModuleList(nn.Conv2d(WIDTH, a * 16, 1) for a in self.ANCHORS)

    def forward(self, image):
        maps = self.pyramid(image)
        scores = [last(head(features), 1) for head, features in zip(self.scores, maps)]
        boxes = [last(head(features), 16) for head, features in zip(self.boxes, maps)]
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class CenterNet(nn.Module):
    """A heatmap of centres, its peaks, and the best of them with their boxes."""

    BEST = 10

    def __init__(self):
        super().__init__()
        self.pyramid = Pyramid()
        self.heat = nn.Conv2d(WIDTH, CLASSES, 1)
        self.extents = nn.Conv2d(WIDTH, 2, 1)

    def forward(self, image):
        features = self.pyramid(image)[0]
        heat = self.heat(features).sigmoid()
        highest = nn.functional.max_pool2d(heat, 3, stride=1, padding=1)
        heat = heat * (highest == heat).float()
        batch, classes, height, width = heat.shape
        scores, places = torch.topk(heat.view(batch, -1), self.BEST)
        positions = places % (height * width)
        extents = self.extents(features).view(batch, 2, -1).permute(0, 2, 1)
        extents = extents.gather(1, positions.unsqueeze(2).expand(batch, self.BEST, 2))
        columns, rows = (positions % width).float(), torch.div(positions, width, rounding_mode="floor").float()
        corners = torch.stack([columns, rows], 2)
        labels = torch.div(places, height * width, rounding_mode="floor").float()
        columns = [corners - extents / 2, corners + extents / 2, scores.unsqueeze(2), labels.unsqueeze(2)]
        return torch.cat(columns, 2)


class EndToEnd(nn.Module):
    """No suppression: the best boxes by their best class (YOLOv10's tail)."""

    BEST = 10

    def __init__(self):
        super().__init__()
        self.dense = Dense(activation=nn.Sigmoid())

    def forward(self, image):
        boxes, scores = self.dense(image)
        _, places = torch.topk(scores.amax(2), self.BEST)
        boxes = boxes.gather(1, places.unsqueeze(2).expand(places.shape[0], self.BEST, 4))
        scores = scores.gather(1, places.unsqueeze(2).expand(places.shape[0], self.BEST, CLASSES))
        best, labels = scores.max(2)
        return torch.cat([boxes, best.unsqueeze(2), labels.unsqueeze(2).float()], 2)


class Detr(nn.Module):
    """Queries attend to positions: scores belong to queries and never were a map."""

    QUERIES, DIM = 7, 12

    def __init__(self):
        super().__init__()
        self.pyramid = Pyramid()
        self.queries = nn.Parameter(torch.randn(1, self.QUERIES, self.DIM))
        self.key, self.value = nn.Linear(self.DIM, self.DIM), nn.Linear(self.DIM, self.DIM)
        self.score, self.box = nn.Linear(self.DIM, CLASSES), nn.Linear(self.DIM, 4)

    def forward(self, image):
        tokens = self.pyramid(image)[1].flatten(2).transpose(1, 2)
        weights = (self.queries @ self.key(tokens).transpose(1, 2)).softmax(-1)
        queries = self.queries + weights @ self.value(tokens)
        return self.box(queries).sigmoid(), self.score(queries)


def convert(model, shape, outputs):
    """Prepare and convert; -1 in `shape` is dynamic."""
    batch, channels, height, width = shape
    size = [SIZE[0] if height < 0 else height, SIZE[1] if width < 0 else width]
    images = smooth_images((8, channels, *size), seed=1)
    prepare(model, images)
    example = images[: 2 if batch < 0 else batch]
    return name_ports(convert_torch(model, [example], [shape]), outputs=outputs)


def export(path, model, shape=(1, 3, *SIZE), outputs=("boxes", "scores")):
    save(convert(model, list(shape), outputs), path)


def with_suppression(model):
    """Boxes that survive NonMaxSuppression, in place of all boxes and scores."""
    boxes, scores = (output.get_node().input_value(0) for output in model.outputs)
    order = opset1.transpose(scores, np.array([0, 2, 1]))
    kept = opset9.non_max_suppression(
        boxes, order, np.int64(10), np.float32(0.5), np.float32(0.1), box_encoding="center"
    )
    outputs = [kept.output(0), kept.output(1)]
    suppressed = ov.Model([opset1.result(output) for output in outputs], model.get_parameters(), "nms")
    return name_ports(suppressed, outputs=("selected", "selected_scores"))


def as_boxes_and_labels(model, priors):
    """What survives suppression as `boxes` `[1,K,5]`, corners in pixels and a score, and `labels` `[1,K]`.

    MMDetection and OTX export detectors so, and Model API's SSD wrapper reads it. Background comes last.
    """
    raw, scores = (output.get_node().input_value(0) for output in model.outputs)
    height, width = SIZE
    shifts = opset1.multiply(raw, np.float32([[[2.0, 2.0, 2.0, 2.0]]]))
    corners = opset1.add(shifts, priors)
    limits = np.float32([[[width, height, width, height]]])
    corners = opset1.maximum(opset1.minimum(corners, limits), np.float32(0))
    objects = opset8.slice(scores, np.int64([0]), np.int64([-1]), np.int64([1]), np.int64([2]))
    by_class = opset1.transpose(objects, np.array([0, 2, 1]))
    kept = opset9.non_max_suppression(
        corners, by_class, np.int64(4), np.float32(0.5), np.float32(0.1), box_encoding="corner"
    )
    # Rows of batch, class, box: one image, so the first column says nothing.
    chosen, places = kept.output(0), np.int64(1)
    labels, boxes = (opset8.gather(chosen, np.int64(column), places) for column in (1, 2))
    pair = opset8.gather(chosen, np.int64([1, 2]), places)
    score = opset8.gather_nd(opset1.squeeze(by_class, np.int64([0])), pair)
    corner = opset8.gather(opset1.squeeze(corners, np.int64([0])), boxes, np.int64(0))
    rows = opset1.concat([corner, opset1.unsqueeze(score, np.int64([1]))], 1)
    outputs = [opset1.unsqueeze(value, np.int64([0])) for value in (rows, labels)]
    found = ov.Model([opset1.result(output) for output in outputs], model.get_parameters(), "boxes_labels")
    return name_ports(found, outputs=("boxes", "labels"))


@fixture("PyTorch")
def det_ssd(path):
    """SSD: three scales of 3, 6 and 6 anchors, the last of a single position; softmax with background."""
    export(path, Ssd(activation=nn.Softmax(2)))


@fixture("PyTorch")
def det_ssd_nhwc(path):
    """SSD with the bias added channels last, as TensorFlow does: class maps are `[N,h,w,A*C]`."""
    export(path, Ssd(channels_last=True))


@fixture("PyTorch, OpenVINO")
def det_ssd_output(path):
    """SSD that ends in DetectionOutput, which reads flat lists of boxes, scores and priors."""
    model = convert(Ssd(activation=nn.Softmax(2)), [1, 3, *SIZE], ("boxes", "scores"))
    boxes, scores = (output.get_node().input_value(0) for output in model.outputs)
    count = boxes.get_partial_shape()[1].get_length()
    rng = np.random.default_rng(0)
    corners = rng.uniform(0.0, 0.6, (count, 2)).astype(np.float32)
    priors = np.concatenate([corners, corners + 0.4], 1).reshape(1, 1, -1)
    variances = np.full((1, 1, count * 4), 0.1, np.float32)
    flat = [opset1.reshape(value, np.array([1, -1]), False) for value in (boxes, scores)]
    attributes = {
        "background_label_id": 0,
        "top_k": 20,
        "keep_top_k": [10],
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        "share_location": True,
        "nms_threshold": 0.5,
        "confidence_threshold": 0.01,
        "normalized": True,
    }
    found = opset8.detection_output(*flat, np.concatenate([priors, variances], 1), attributes)
    model = ov.Model([opset1.result(found)], model.get_parameters(), "ssd")
    save(name_ports(model, outputs=("detections",)), path)


@fixture("PyTorch, OpenVINO")
def det_ssd_labels(path):
    """SSD that ends in `boxes` `[1,K,5]` and `labels` `[1,K]`, background last, as Model API reads it."""
    ssd = Ssd(activation=nn.Softmax(2))
    model = convert(ssd, [1, 3, *SIZE], ("boxes", "scores"))
    # Squares of two strides around each position, as many as there are anchors.
    priors = []
    for (rows, columns), anchors in zip(((8, 12), (4, 6), (1, 1)), ssd.ANCHORS):
        steps = np.float32([SIZE[1] / columns, SIZE[0] / rows])
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 1, 2) + 0.5
        centers = (grid * steps).repeat(anchors, 1).reshape(-1, 2)
        priors.append(np.concatenate([centers - steps, centers + steps], 1))
    priors = np.concatenate(priors)[None].astype(np.float32)
    save(as_boxes_and_labels(model, priors), path)


@fixture("PyTorch")
def det_retinanet(path):
    """RetinaNet: one head for both scales, 3 anchors; raw scores, dynamic batch."""
    export(path, Dense(anchors=3), (-1, 3, *SIZE))


@fixture("PyTorch")
def det_retinanet_dynamic(path):
    """RetinaNet with dynamic batch, height and width: grids are known only when it runs."""
    export(path, Dense(anchors=3, activation=nn.Sigmoid()), (-1, 3, -1, -1))


@fixture("PyTorch")
def det_retinanet_raw(path):
    """RetinaNet whose outputs are the maps of both scales: boxes tell how many anchors there are."""
    export(path, Raw(anchors=3), outputs=("scores_8", "boxes_8", "scores_16", "boxes_16"))


@fixture("PyTorch, OpenVINO")
def det_yolov3_region(path):
    """YOLOv3 with RegionYolo behind each scale's only convolution."""
    model = convert(Yolov3(), [1, 3, *SIZE], ("fine", "coarse"))
    outputs = []
    for output in model.outputs:
        maps = output.get_node().input_value(0)
        region = opset1.region_yolo(maps, 4, CLASSES, 6, False, [0, 1, 2], 1, 3, [10.0] * 12)
        outputs.append(opset1.result(region))
    model = ov.Model(outputs, model.get_parameters(), "yolov3")
    save(name_ports(model, outputs=("fine", "coarse")), path)


@fixture("PyTorch, OpenVINO")
def det_atss_nms(path):
    """ATSS: one anchor, sigmoid, NonMaxSuppression."""
    model = convert(Dense(activation=nn.Sigmoid()), [1, 3, *SIZE], ("boxes", "scores"))
    save(with_suppression(model), path)


@fixture("PyTorch")
def det_fcos(path):
    """FCOS: scores are the root of the class probability times centerness."""
    export(path, Dense(centerness=True, activation=nn.Sigmoid()))


@fixture("PyTorch")
def det_yolox(path):
    """YOLOX as exported without decoding: boxes, objectness and classes side by side."""
    export(path, Yolox(), outputs=("detections",))


@fixture("PyTorch")
def det_yolox_decoded(path):
    """YOLOX with decoded boxes; batch of two."""
    export(path, Yolox(decode=True), (2, 3, *SIZE), ("detections",))


@fixture("PyTorch, OpenVINO")
def det_yolox_nms(path):
    """YOLOX with class scores times objectness, and NonMaxSuppression."""
    model = convert(Yolox(decode=True, multiply=True), [1, 3, *SIZE], ("boxes", "scores"))
    save(with_suppression(model), path)


@fixture("PyTorch")
def det_yolov8(path):
    """YOLOv8: box distribution and classes joined by channels, then scales, then split again."""
    export(path, Yolov8(), outputs=("detections",))


@fixture("PyTorch")
def det_yolov5(path):
    """YOLOv5: boxes, objectness and classes of three anchors in one convolution."""
    export(path, Yolov5(), outputs=("detections",))


@fixture("PyTorch")
def det_yolov5_product(path):
    """YOLOv5 with scores of their own: classes times objectness, which is taken out without its axis."""
    export(path, Yolov5Product())


@fixture("PyTorch")
def det_blazeface(path):
    """BlazeFace: a single class, two and six anchors, boxes with keypoints."""
    export(path, BlazeFace())


@fixture("PyTorch")
def det_centernet(path):
    """CenterNet: a heatmap, its peaks by MaxPool, the best of them by TopK."""
    export(path, CenterNet(), outputs=("detections",))


@fixture("PyTorch")
def det_end_to_end(path):
    """Without suppression: the best boxes by TopK over their best class."""
    export(path, EndToEnd(), outputs=("detections",))


@fixture("PyTorch")
def det_detr(path):
    """DETR: scores of queries, which never were a map; to be refused."""
    export(path, Detr())


@fixture("PyTorch, OpenVINO")
def det_two_stage(path):
    """Two stages: regions are cut out by ROIAlign and scored one by one; to be refused."""
    model = convert(Pyramid(), [1, 3, *SIZE], ("fine", "coarse"))
    fine = model.outputs[0].get_node().input_value(0)
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (6, 2))
    regions = np.concatenate([corners, corners + 24], 1).astype(np.float32)
    cut = opset9.roi_align(fine, regions, np.zeros(6, np.int64), 3, 3, 2, 1 / 8, "avg")
    flat = opset1.reshape(cut, np.array([6, -1]), False)
    weights = [rng.normal(0, 0.1, (WIDTH * 9, count)).astype(np.float32) for count in (4, CLASSES)]
    outputs = [opset1.matmul(flat, weight, False, False) for weight in weights]
    model = ov.Model([opset1.result(output) for output in outputs], model.get_parameters(), "two_stage")
    save(name_ports(model, outputs=("boxes", "scores")), path)
