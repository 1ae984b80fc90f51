#!/usr/bin/env bash
# fetch.sh: Prometheus and promtool from Debian's package, under build/prometheus. Needs no root: the package is fetched
# by an apt with a state of its own and unpacked, never installed.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="$(cd "$here/../.." && pwd)/build/prometheus"

say() { printf '%s\n' "$*" >&2; }
die() { say "make prometheus: $*"; exit 1; }

[ ! -x "$out/usr/bin/promtool" ] || exit 0
for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null || die "there is no $tool here: this recipe needs Debian 12 or newer"
done
mkdir -p "$out"
# shellcheck source=vm/fetch.sh
. "$here/../../vm/fetch.sh"
mirror="$(mirror_of_this_machine)"
suite="$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")"
update "$suite"
unpack_only "$suite" "$out" prometheus
"$out/usr/bin/promtool" --version >&2
