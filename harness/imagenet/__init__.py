"""Transfer of a searched cell to large images: its network, trained on a folder of images as on ImageNet (table 2)."""
