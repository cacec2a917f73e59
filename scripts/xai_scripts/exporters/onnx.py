"""Worker: the file that the one of timm wrote, which `xai-explain` converts itself."""

from . import worker


def main():
    folder, photo = worker.arguments()
    worker.made(folder / "timm" / "model.onnx", photo)


if __name__ == "__main__":
    main()
