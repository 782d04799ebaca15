raise ImportError("left out of this image, see docker/slim.py")
