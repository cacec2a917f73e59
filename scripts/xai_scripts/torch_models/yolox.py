"""A detector like YOLOX of real size, which timm does not have."""

import timm
import torch


class YoloxLike(torch.nn.Module):
    """YOLOX's head for 80 classes, in its export form, on the maps of a ResNet-18 at 1/8, 1/16 and 1/32."""

    CLASSES, WIDTH = 80, 96
    pretrained_cfg = {"input_size": (3, 416, 416)}

    def __init__(self):
        super().__init__()
        self.backbone = timm.create_model("resnet18", features_only=True, out_indices=(2, 3, 4))
        self.stems, self.towers = torch.nn.ModuleList(), torch.nn.ModuleList()
        self.boxes, self.objectness, self.scores = (torch.nn.ModuleList() for _ in range(3))
        for channels in self.backbone.feature_info.channels():
            self.stems.append(torch.nn.Conv2d(channels, self.WIDTH, 1))
            towers = [torch.nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1) for _ in range(4)]
            self.towers.append(torch.nn.ModuleList(towers))
            self.boxes.append(torch.nn.Conv2d(self.WIDTH, 4, 1))
            self.objectness.append(torch.nn.Conv2d(self.WIDTH, 1, 1))
            self.scores.append(torch.nn.Conv2d(self.WIDTH, self.CLASSES, 1))

    def forward(self, image):
        outputs, silu = [], torch.nn.functional.silu
        for scale, features in enumerate(self.backbone(image)):
            stem = silu(self.stems[scale](features))
            first, second, third, fourth = self.towers[scale]
            boxes, classes = silu(second(silu(first(stem)))), silu(fourth(silu(third(stem))))
            objectness = self.objectness[scale](boxes).sigmoid()
            parts = [self.boxes[scale](boxes), objectness, self.scores[scale](classes).sigmoid()]
            outputs.append(torch.cat(parts, 1).flatten(2))
        return torch.cat(outputs, 2).permute(0, 2, 1)
