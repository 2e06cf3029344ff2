"""What runs in TensorFlow's own environment, started as `python export/in_tensorflow/serve.py`.

`messages` is also imported by the project; the others import TensorFlow and nothing of the project.
"""
