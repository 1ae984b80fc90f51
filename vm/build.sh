#!/usr/bin/env bash
# What a virtual machine for the tests needs, from Debian packages only, under build/vm. Needs no root:
# packages are fetched by an apt with a state of its own and unpacked, never installed.
#
#   build.sh            build what is missing
#   build.sh --fresh    fetch and build everything anew
#
# build/vm/qemu              starts QEMU
# build/vm/new, old, oldest  three kernels: vmlinuz, initramfs, version
#
# Elsewhere than on Debian: set FWPAGES_QEMU, FWPAGES_KERNEL and FWPAGES_INITRD instead (docs/howto/real-driver.md).
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="$(cd "$here/.." && pwd)/build/vm"
# the initramfs is made by fwpages itself, as `fwpages trial` makes that of any kernel
python="$here/../.venv/bin/python"
recipe="$(cat "$here"/*.sh "$here/initramfs.py" | sha256sum | cut -d' ' -f1)"

say() { printf '%s\n' "$*" >&2; }
die() { say "make vm: $*"; exit 1; }

for tool in apt-get apt-cache dpkg-deb dpkg sha256sum; do
	command -v "$tool" >/dev/null || die "there is no $tool here. This recipe needs Debian 12 or newer; elsewhere set \
FWPAGES_QEMU, FWPAGES_KERNEL and FWPAGES_INITRD."
done
[ -x "$python" ] || die "there is no $python: call it as \`make vm\`"
[ "$(dpkg --print-architecture)" = amd64 ] || die "the recipe is for amd64, this is $(dpkg --print-architecture)"

if [ "${1:-}" != --fresh ] && [ "$(cat "$out/recipe" 2>/dev/null)" = "$recipe" ] &&
	[ -x "$out/qemu" ] && [ -s "$out/new/initramfs" ] && [ -s "$out/old/initramfs" ] && [ -s "$out/oldest/initramfs" ]; then
	exit 0
fi
[ "${1:-}" != --fresh ] || rm -rf "$out"
mkdir -p "$out"
rm -f "$out/recipe"

# shellcheck source=vm/fetch.sh
. "$here/fetch.sh"
# shellcheck source=vm/image.sh
. "$here/image.sh"

mirror="$(mirror_of_this_machine)"
newest="$(suite_with_qemu)"
say "make vm: QEMU and the newer kernel from $newest, older kernels from $OLDER and $OLDEST"
build_qemu "$newest"
build_kernel "$newest" new
build_kernel "$OLDER" old
build_kernel "$OLDEST" oldest
printf '%s\n' "$recipe" >"$out/recipe"
say "make vm: $("$out/qemu" --version | head -n 1); kernels $(cat "$out/new/version"), $(cat "$out/old/version"), $(cat "$out/oldest/version")"
