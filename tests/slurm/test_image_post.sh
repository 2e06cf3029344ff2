#!/usr/bin/env bash
# The %post script of the image, in a plain virtual environment: downloads torch, several GB and minutes.
#   bash tests/slurm/test_image_post.sh [FOLDER]
# A chroot tests its apt-get part too:
#   debootstrap --variant=minbase bookworm ROOT; cp -r requirements.txt requirements slurm/image_* ROOT/opt/matting_source/
#   chroot ROOT bash /opt/matting_source/image_post.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-$(mktemp -d)}
mkdir -p "$folder/source"
cp -r requirements.txt requirements slurm/image_post.sh slurm/image_test.py "$folder/source/"
SYSTEM=0 TARGET=$folder/venv SOURCE=$folder/source bash "$folder/source/image_post.sh"
"$folder/venv/bin/python" train.py --help > /dev/null
message=$(SYSTEM=0 WITH_MAMBA=1 TARGET=$folder/none PATH=/usr/bin:/bin bash "$folder/source/image_post.sh" 2>&1) && exit 1
[ "$message" = 'WITH_MAMBA=1 needs nvcc: build from a CUDA devel image' ] || { echo "$message" >&2; exit 1; }
[ ! -e "$folder/none" ]
echo "image_post.sh works: $folder/venv"
