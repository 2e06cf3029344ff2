"""A matte for each person: mask-guided instance matting of images and clips.

Paper: Masked Guided Gradual Human Instance Matting (MaGGIe), arXiv 2404.16035.
"""
