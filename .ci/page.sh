#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# page.sh FOLDER: the page of bindings/web with the modules that it imports and the chart library, ready to be served. A
# page.json that is there already stays. FOLDER/single.html is all of it in one file. Set-up has taken the chart library; BUILD
# says where.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?} charts=${BUILD:?}/charts/lightweight-charts.js
kept=$(mktemp)
trap 'rm -f "$kept"' EXIT
if [ -e "$folder/page/page.json" ]; then cp "$folder/page/page.json" "$kept"; fi
mkdir -p "$folder"
cp -R bindings/web/index.html bindings/web/pulsews.js bindings/web/components.js bindings/web/src bindings/web/page "$folder"
cp "$charts" "$folder/page/"
if [ -s "$kept" ]; then cp "$kept" "$folder/page/page.json"; fi
tools/single "$folder"
