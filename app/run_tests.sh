#!/bin/sh
# Parses every Swift file of the app and tests the plain ones, with whatever Swift is here (5.7 or newer; Debian's package is swiftlang).
# BUILD: where it is built.
set -eu
cd "$(dirname "$0")"
if ! command -v swiftc >/dev/null; then
    echo "there is no Swift here; install it, on Debian 13 with: apt-get install swiftlang libc6-dev libstdc++-14-dev git" >&2
    exit 69
fi
find Imago Tests -name '*.swift' -exec swiftc -frontend -parse {} +
exec swift test --scratch-path "${BUILD:-.build}"
