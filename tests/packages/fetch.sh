#!/usr/bin/env bash
# fetch.sh: the newest Python of Debian, under build/python. Needs no root: the packages are fetched by an apt with a
# state of its own and unpacked, never installed. It runs by the dynamic linker and the libraries that it was built with.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="$(cd "$here/../.." && pwd)/build/python"
suite="${FWPAGES_PYTHON_SUITE:-sid}"

say() { printf '%s\n' "$*" >&2; }
die() { say "make python: $*"; exit 1; }

[ ! -x "$out/python3" ] || exit 0
for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null || die "there is no $tool here: this recipe needs Debian 12 or newer"
done
mkdir -p "$out"
# shellcheck source=vm/fetch.sh
. "$here/../../vm/fetch.sh"
mirror="$(mirror_of_this_machine)"
update "$suite"
name="$(apt_for "$suite" apt-cache search --names-only '^python3\.[0-9]+-venv$' | sed 's/-venv .*//' | sort -V | tail -n 1)"
[ -n "$name" ] || die "$suite has no Python"
unpack_all "$suite" "$out/root" "$name" "$name-venv"
bin="$out/root/usr/bin"
lib="$(cd "$(dirname "$(find "$out/root/usr/lib" -name 'ld-linux*.so.*' | head -n 1)")" && pwd)"
[ "$(basename "$lib")" != lib ] || die "the packages have no dynamic linker"
mv "$bin/$name" "$bin/$name.real"
cat >"$bin/$name" <<-END
	#!/bin/sh
	# $name from Debian, with its own libraries; --argv0 keeps the name that an environment started it by
	root="\$(cd "\$(dirname "\$(readlink -f "\$0")")/../.." && pwd)"
	lib="\$root/${lib#"$out/root/"}"
	exec "\$lib/$(cd "$lib" && echo ld-linux*.so.*)" --argv0 "\$0" --library-path "\$lib" "\$root/usr/bin/$name.real" "\$@"
END
chmod 755 "$bin/$name"
ln -sf "root/usr/bin/$name" "$out/python3"
"$out/python3" --version >&2
