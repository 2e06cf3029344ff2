"""Answers requests of `export.child.Child`: write a file from ONNX, open one, run a frame.

    convert  onnx, output, kind (saved_model, tflite, tfjs), precision
    open     path, kind (saved_model, tflite) -> number, inputs {name: NHWC shape}, outputs, facts, runtime
    run      number of an open file; arrays: NHWC inputs -> NHWC outputs
"""

import os
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

# TensorFlow prints where answers go: keep that place for them, and send what is printed to standard error
ANSWERS = os.fdopen(os.dup(1), 'wb')
os.dup2(2, 1)

from tensorflow.lite.python.convert_phase import ConverterError  # noqa: E402

from messages import receive, send  # noqa: E402
from run import open_file  # noqa: E402
from write import convert  # noqa: E402


def main() -> None:
    """Answer requests until the pipe is closed."""
    opened = []
    while (request := receive(sys.stdin.buffer)) is not None:
        head, arrays = request
        do = head.pop('do')
        try:
            if do == 'convert':
                answer = convert(**head), {}
            elif do == 'open':
                opened.append(open_file(**head))
                answer = opened[-1].describe() | {'number': len(opened) - 1}, {}
            else:
                answer = {}, opened[head['number']].run(arrays)
        except (ValueError, OSError, RuntimeError, ConverterError) as error:
            answer = {'error': ' '.join(str(error).split())[:500]}, {}
        send(ANSWERS, *answer)


if __name__ == '__main__':
    main()
