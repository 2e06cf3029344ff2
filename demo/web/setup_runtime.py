"""Fetch onnxruntime-web: npm installs the locked version into a temporary folder, the few files the page needs stay."""

import shutil
import subprocess
from pathlib import Path

from files import adopt, publish, scratch_folder

# of 140 MB: two loaders with their WebAssembly, for WebGPU (asyncify) and for threads on the processor
RUNTIME_FILES = ('ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm',
                 'ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm')
PACKAGE_FILES = ('package.json', 'package-lock.json')


def install_runtime(web: Path) -> None:
    """Fill `web`/vendor, which appears when it is complete and replaces an older one.

    Args:
        web: folder of package.json and package-lock.json.
    Raises:
        RuntimeError: npm is absent or failed, or the package does not hold what the page needs.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise RuntimeError('npm is not installed: it comes with Node.js (https://nodejs.org, or apt install npm)')
    with scratch_folder(web / 'vendor') as work:
        for name in PACKAGE_FILES:
            shutil.copy(web / name, work)
        command = [npm, 'ci', '--ignore-scripts', '--no-audit', '--no-fund']
        done = subprocess.run(command, cwd=work, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip() or 'no message').splitlines()
            raise RuntimeError(f'npm ci failed: {" / ".join(reason[-3:])}')
        source, ready = work / 'node_modules' / 'onnxruntime-web' / 'dist', work / 'vendor'
        ready.mkdir()
        for name in RUNTIME_FILES:
            if not (source / name).is_file():
                raise RuntimeError(f'this version of onnxruntime-web has no {name}: keep the one in package-lock.json')
            shutil.move(source / name, ready / name)
        publish([adopt(ready, web / 'vendor')])
