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
	"$out/qemu" -device vfio-user-pci,help >/dev/null 2>&1 || die "this QEMU has no vfio-user-pci"
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

build_initramfs() {
	local root="$1" release="$2" target="$3"
	"$python" "$here/initramfs.py" "$root" "$release" "$target" || die "no initramfs for Linux $release"
	say "make vm: Linux $release with its initramfs"
}
