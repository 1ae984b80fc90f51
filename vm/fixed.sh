#!/usr/bin/env bash
# The newest kernel's mlx5_core with corrections (vm/fixes/edits.py), built out of tree from Debian's sources and headers,
# in a folder of Debian's newest packages that are unpacked and not installed. Needs `make vm`, and a kernel here that has
# user namespaces: the compiler runs in one, with that folder as its root.
#
#   fixed.sh NAME...    build/vm/fixed/modules: the modules of the newest kernel, with a corrected mlx5_core among them
#
# then: fwpages trial --kernel build/vm/new/vmlinuz --modules build/vm/fixed/modules
#
#   fixed.sh --sf [NAME...]    the same with SFs, which Debian's kernel has not (MLX5_SF)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="$(cd "$here/.." && pwd)/build/vm"
suite=sid
root="$out/fixed/root"

say() { printf '%s\n' "$*" >&2; }
die() { say "fixed.sh: $*"; exit 1; }

sfs=()
if [ "${1:-}" = --sf ]; then
	# the headers' configuration says no: the sources are told otherwise
	sfs=(CONFIG_MLX5_SF=y CONFIG_MLX5_SF_MANAGER=y "KCFLAGS=-DCONFIG_MLX5_SF=1 -DCONFIG_MLX5_SF_MANAGER=1")
	shift
fi
[ $# -gt 0 ] || [ ${#sfs[@]} -gt 0 ] || die "name the corrections: $(python3 "$here/fixes/edits.py" 2>&1 | sed -n 's/.*names of: //p')"
command -v unshare >/dev/null || die "there is no unshare here (package util-linux)"
[ -s "$out/new/version" ] || die "there is no kernel: make vm"
release="$(cat "$out/new/version")"

# shellcheck source=vm/fetch.sh
. "$here/fetch.sh"
mirror="$(mirror_of_this_machine)"

# the compiler, the headers and the driver's pristine sources, once for a kernel
prepare() {
	local series
	say "fixed.sh: fetching a compiler, headers and sources for Linux $release"
	rm -rf "$out/fixed" && mkdir -p "$root" "$out/fixed/unpacked"
	update "$suite"
	unpack_all "$suite" "$root" "linux-headers-$release" make bash coreutils sed grep gawk findutils xz-utils diffutils kmod binutils
	[ -e "$root/usr/bin/sh" ] || ln -s bash "$root/usr/bin/sh"
	[ -e "$root/usr/bin/awk" ] || ln -s gawk "$root/usr/bin/awk"
	: >"$root/dev/null"
	series="$(cut -d. -f1,2 <<<"$release")"
	unpack_only "$suite" "$out/fixed/unpacked" "linux-source-$series"
	mkdir -p "$root/build"
	tar -xJf "$out/fixed/unpacked/usr/src/linux-source-$series.tar.xz" -C "$root/build" --strip-components=4 \
		--wildcards '*/drivers/net/ethernet/mellanox'
	rm -rf "$out/fixed/unpacked" && mkdir -p "$out/fixed/unpacked"
	unpack_only "$suite" "$out/fixed/unpacked" $(apt_for "$suite" apt-cache depends "linux-image-$release" |
		sed -n 's/^ *Depends: *\(linux-\(modules\|binary\)-[^ ]*\)/\1/p') "linux-image-$release"
	mkdir -p "$out/fixed/modules/lib/modules"
	cp -a "$(find "$out/fixed/unpacked" -type d -path "*/modules/$release" | head -n 1)" "$out/fixed/modules/lib/modules/"
	rm -rf "$out/fixed/unpacked"
	cp -a "$root/build/mellanox/mlx5/core" "$out/fixed/pristine"
	printf '%s\n' "$release" >"$out/fixed/release"
}

[ "$(cat "$out/fixed/release" 2>/dev/null)" = "$release" ] || prepare
# only what differs is written, so that only it is compiled again
core="$root/build/mellanox/mlx5/core"
tree="$out/fixed/edited"
rm -rf "$tree" && cp -a "$out/fixed/pristine" "$tree"
[ $# -eq 0 ] || python3 "$here/fixes/edits.py" "$tree" "$@"
for file in "$tree"/*.c; do
	cmp -s "$file" "$core/${file##*/}" || cp "$file" "$core/${file##*/}"
done
say "fixed.sh: building mlx5_core with: ${sfs[*]} $*"
inside() {
	# objtool reads /proc, and the compiler writes to /dev/null
	unshare --map-root-user --mount --pid --fork --mount-proc="$root/proc" sh -c \
		'mount --bind /dev/null "$0/dev/null" && root="$0" && exec chroot "$root" /usr/bin/env PATH=/usr/bin "$@"' \
		"$root" "$@"
}
inside make -s -C "/usr/src/linux-headers-$release" M=/build/mellanox/mlx5/core CONFIG_MLX5_CORE=m "${sfs[@]}" modules "-j$(nproc)" >&2
find "$out/fixed/modules" -name 'mlx5_core.ko*' -delete
mkdir -p "$out/fixed/modules/lib/modules/$release/updates"
inside strip --strip-debug -o /build/mlx5_core.ko /build/mellanox/mlx5/core/mlx5_core.ko
mv "$root/build/mlx5_core.ko" "$out/fixed/modules/lib/modules/$release/updates/"
say "fixed.sh: $out/fixed/modules"
