#!/usr/bin/env bash
# What %post of create_singularity_env.def runs; a script of its own, so that it is tested without a container
# (tests/slurm/test_image_post.sh). Installs into $TARGET, a virtual environment that %environment puts in PATH.
#   TARGET      where [/opt/matting]
#   SOURCE      folder with requirements.txt and requirements/ [/opt/matting_source]
#   TORCH_INDEX package index of torch, for another CUDA; empty: the default one
#   WITH_MAMBA  1: build mamba-ssm and causal-conv1d (needs nvcc; many minutes)
#   SYSTEM      0: leave out apt-get (tests)
set -euo pipefail
: "${TARGET:=/opt/matting}" "${SOURCE:=/opt/matting_source}" "${TORCH_INDEX:=}" "${WITH_MAMBA:=0}" "${SYSTEM:=1}"

if [ "$WITH_MAMBA" = 1 ] && ! command -v nvcc > /dev/null; then
    echo 'WITH_MAMBA=1 needs nvcc: build from a CUDA devel image' >&2
    exit 2
fi
if [ "$SYSTEM" = 1 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install -y --no-install-recommends python3 python3-venv python3-dev build-essential git ca-certificates
    rm -rf /var/lib/apt/lists/*
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, got {sys.version}")'
python3 -m venv "$TARGET"
pip() { "$TARGET/bin/python" -m pip --disable-pip-version-check --no-cache-dir "$@"; }
index=()
if [ -n "$TORCH_INDEX" ]; then
    index=(--index-url "$TORCH_INDEX")
    pip install "${index[@]}" torch torchvision
fi
pip install -r "$SOURCE/requirements.txt"
if [ "$WITH_MAMBA" = 1 ]; then
    pip install setuptools wheel ninja packaging
    CAUSAL_CONV1D_FORCE_BUILD=TRUE pip install --no-build-isolation causal-conv1d
    MAMBA_FORCE_BUILD=TRUE pip install --no-build-isolation -r "$SOURCE/requirements/mamba.txt"
fi
"$TARGET/bin/python" "$SOURCE/image_test.py"
