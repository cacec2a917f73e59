"""What has to be seen on a photo, and whether it is."""

# The class of the photo of a cat by the fixture mobilenet_v2, and its probability in PyTorch (the exporter timm).
EGYPTIAN_CAT = [285, 0.746, None]
# Scores are those of photos that other programs brought to the input's size, by other means.
SCORES = 0.03
OVERLAP = 0.85


def compared(report, expected):
    """A line of what was seen, and whether it is what was expected: the same classes, scores and boxes."""
    seen = sorted([target["class"], target["score"], target.get("corners")] for target in report["targets"])
    expected = sorted(expected)
    right = [target[0] for target in seen] == [target[0] for target in expected]
    for (_, score, box), (_, wanted, place) in zip(seen, expected):
        right &= abs(score - wanted) <= SCORES
        right &= place is None or (box is not None and overlap(box, place) >= OVERLAP)
    names = [f"{target['label']} {target['score']:.3f}" for target in report["targets"]]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    told = ", ".join(f"{target[0]} {target[1]:.3f}" for target in expected)
    return f"{shown}; expected {told}", right


def overlap(one, other):
    """Intersection over union of two boxes of corners."""

    def area(box):
        return max(0, box[2] - box[0]) * max(0, box[3] - box[1])

    common = [max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])]
    return area(common) / (area(one) + area(other) - area(common))
