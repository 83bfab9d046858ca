#!/bin/sh
# Install Barid from this folder, on a machine without a network: sh install.sh [FOLDER]
# Every file is compared with its hash; FOLDER is /opt/barid, if not given.
set -eu
wheels=$(cd "$(dirname "$0")" && pwd)
target=${1:-/opt/barid}

(cd "$wheels" && sha256sum --check --quiet SHA256SUMS)
"${PYTHON:-python3}" -m venv "$target"
"$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
    --find-links "$wheels" --only-binary=:all: --require-hashes --requirement "$wheels/requirements.txt"
"$target/bin/barid" --version
