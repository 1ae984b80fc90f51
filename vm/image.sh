# QEMU in a folder of its own, kernels and their initramfs. Sourced by build.sh after fetch.sh.

# QEMU runs by the dynamic linker and the libraries that it was built with, whatever the machine has
build_qemu() {
	local suite="$1" root="$out/root" module
	rm -rf "$root" && mkdir -p "$root"
	unpack_all "$suite" "$root" qemu-system-x86 seabios
	cat >"$out/qemu" <<-'END'
		#!/bin/sh
		# QEMU from Debian, with its own libraries
		here="$(cd "$(dirname "$0")" && pwd)"
		lib="$here/root/usr/lib/x86_64-linux-gnu"
		export QEMU_MODULE_DIR="$lib/qemu"
		exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib:$lib/pulseaudio" \
			"$here/root/usr/bin/qemu-system-x86_64" \
			-L "$here/root/usr/share/qemu" -L "$here/root/usr/share/seabios" "$@"
	END
	chmod 755 "$out/qemu"
	"$out/qemu" -device help 2>/dev/null | grep -q '"vfio-user-pci"' || die "this QEMU has no vfio-user-pci"
}

# the newest kernel of a suite, and an initramfs with mlx5_core in it
build_kernel() {
	local suite="$1" name="$2" root="$out/$2/root" package release
	[ -d "$out/apt/$suite" ] || update "$suite"
	package="$(apt_for "$suite" apt-cache depends linux-image-amd64 |
		sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)"
	[ -n "$package" ] || die "linux-image-amd64 in $suite names no kernel"
	rm -rf "$out/$name" && mkdir -p "$root"
	# since 7.0 or so the modules are a package of their own
	unpack_only "$suite" "$root" "$package" busybox-static \
		$(apt_for "$suite" apt-cache depends "$package" | sed -n 's/^ *Depends: *\(linux-\(modules\|binary\|image\)-[^ ]*\)/\1/p')
	release="$(cd "$root"/usr/lib/modules 2>/dev/null || cd "$root"/lib/modules; echo *)"
	cp "$(find "$root" -name "vmlinuz*" -type f | head -n 1)" "$out/$name/vmlinuz"
	build_initramfs "$root" "$release" "$out/$name/initramfs"
	printf '%s\n' "$release" >"$out/$name/version"
	rm -rf "$root"
}

module_file() { find "$1" -name "$2.ko" -o -name "$2.ko.xz" -o -name "$(tr _ - <<<"$2").ko" -o -name "$(tr _ - <<<"$2").ko.xz" | head -n 1; }

# a module with what it depends on before it, unpacked into a folder in the order in which they load
add_module() {
	local root="$1" name="$2" into="$3" file needs each
	! grep -qx "$name.ko" "$into/order" || return 0
	file="$(module_file "$root" "$name")"
	[ -n "$file" ] || return 0 # built in
	case "$file" in
	*.xz) xz -dc "$file" >"$into/$name.ko" ;;
	*) cp "$file" "$into/$name.ko" ;;
	esac
	needs="$(tr '\0' '\n' <"$into/$name.ko" | sed -n 's/^depends=//p' | tr ',' ' ')"
	for each in $needs; do
		add_module "$root" "$(tr - _ <<<"$each")" "$into"
	done
	echo "$name.ko" >>"$into/order"
}

build_initramfs() {
	local root="$1" release="$2" target="$3" tree="$out/tree" busybox each
	rm -rf "$tree" && mkdir -p "$tree"/{bin,dev,proc,sys,tmp,modules}
	: >"$tree/modules/order"
	busybox="$(find "$root" -path '*bin/busybox' | head -n 1)"
	cp "$busybox" "$tree/bin/busybox"
	add_module "$root" mlx5_core "$tree/modules"
	# for dumps with a VMCOREINFO, and for a folder of this machine in the guest: loaded by those tests that need them
	mkdir -p "$tree/more" && : >"$tree/more/order"
	for each in qemu_fw_cfg virtio_pci 9pnet_virtio 9p; do
		add_module "$root" "$each" "$tree/more"
	done
	cp "$init" "$tree/init"
	chmod 755 "$tree/init"
	(cd "$tree" && find . | "$tree/bin/busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$target"
	rm -rf "$tree"
	say "make vm: Linux $release with its initramfs"
}
