#!/usr/bin/env bash
# Write docs/performance.md anew: its text up to the mark as it is, then a table for every line
# below. Takes an hour or two on two cores. Arguments go to every `netdsl bench`, as in
#   docs/figures.sh --threads 2 --rounds 15
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
sed '/^<!-- figures -->$/q' performance.md >"$fresh"
while read -r net; do
  echo "netdsl bench $net $*" >&2
  printf '\n' >>"$fresh"
  # shellcheck disable=SC2086  # the words of a line are arguments
  python -m netdsl bench $net "$@" --markdown </dev/null >>"$fresh"
done <<'NETS'
resnet -D depth=50 --batch 1 --size H=224,W=224
resnet -D depth=50 --batch 16 --size H=224,W=224
vgg -D depth=16 --batch 1 --size H=224,W=224
alexnet --batch 1 --size H=224,W=224
googlenet --batch 1 --size H=224,W=224
lenet --batch 1
resnet_cifar -D depth=56 --batch 1 --size H=32,W=32
resnet -D depth=18 --batch 8 --size H=224,W=224 --train
lenet --batch 1 --train
resnet_cifar -D depth=20 --batch 1 --size H=32,W=32 --train
lenet --batch 64 --train
resnet -D depth=50 --batch 1 --size H=224,W=224 --dtype bfloat16
vgg -D depth=16 --batch 1 --size H=224,W=224 --dtype bfloat16
resnet -D depth=18 --batch 8 --size H=224,W=224 --train --dtype bfloat16
NETS
cat "$fresh" >performance.md
