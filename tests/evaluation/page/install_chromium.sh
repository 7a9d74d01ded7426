#!/bin/sh
# Puts a headless browser on a Debian or Ubuntu machine; needs root. Does nothing where there is one.
set -eu
command -v chromium >/dev/null && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium
