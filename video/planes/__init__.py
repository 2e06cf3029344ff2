"""The plane path: frames that stay Y, U and V from the decoder to the encoder. Knows no network.

`rule` says which conversions take it; the readable path (`video.reader.to_rgb`, `video.render`, `video.writer`) is what
it is compared with.
"""
