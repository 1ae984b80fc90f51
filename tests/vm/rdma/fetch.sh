#!/usr/bin/env bash
# fetch.sh: rdma-core's driver of mlx5 devices with its headers, loader and C library, from Debian's packages, under
# build/rdma. Needs no root: the packages are fetched by an apt with a state of its own and unpacked, never installed.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="$(cd "$here/../../.." && pwd)/build/rdma"
suite="${FWPAGES_RDMA_SUITE:-sid}"

say() { printf '%s\n' "$*" >&2; }
die() { say "make rdma: $*"; exit 1; }

[ ! -s "$out/version" ] || exit 0
for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null || die "there is no $tool here: this recipe needs Debian 12 or newer"
done
mkdir -p "$out"
# shellcheck source=vm/fetch.sh
. "$here/../../../vm/fetch.sh"
mirror="$(mirror_of_this_machine)"
update "$suite"
version="$(version_of "$suite" ibverbs-providers)"
[ -n "$version" ] || die "$suite has no ibverbs-providers"
rm -rf "$out/root" && mkdir -p "$out/root"
unpack_only "$suite" "$out/root" ibverbs-providers libibverbs1 libibverbs-dev libnl-3-200 libnl-route-3-200 libc6
[ -n "$(find "$out/root" -name 'libmlx5-rdmav*.so')" ] || die "the packages of $suite have no driver of mlx5 devices"
printf '%s\n' "$version" >"$out/version"
say "make rdma: rdma-core $version"
