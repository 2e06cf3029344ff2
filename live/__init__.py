"""Live matting: a camera in, a window, a recording or a virtual camera out. Knows no network."""
