#!/usr/bin/env bash
# fetch.sh: Chromium without a window, from Debian's package, under build/chromium. Needs no root: the packages are
# fetched by an apt with a state of its own and unpacked, never installed.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
out="$(cd "$here/../.." && pwd)/build/chromium"

say() { printf '%s\n' "$*" >&2; }
die() { say "make chromium: $*"; exit 1; }

[ ! -x "$out/chromium" ] || exit 0
for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null || die "there is no $tool here: this recipe needs Debian 12 or newer"
done
rm -rf "$out/root"
mkdir -p "$out"
# shellcheck source=vm/fetch.sh
. "$here/../../vm/fetch.sh"
mirror="$(mirror_of_this_machine)"
suite="$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")"
update "$suite"
unpack_all "$suite" "$out/root" chromium-headless-shell fonts-dejavu-core
# the C library is this machine's own: it goes with the machine's loader
rm -f "$out"/root/lib/x86_64-linux-gnu/{ld-linux*,lib{c,m,dl,pthread,rt,resolv}.so*}
rm -f "$out"/root/usr/lib/x86_64-linux-gnu/{ld-linux*,lib{c,m,dl,pthread,rt,resolv}.so*}
cat >"$out/chromium.part" <<'END'
#!/bin/sh
# Chromium without a window, with the libraries that it was fetched with
root="$(dirname "$0")/root"
lib="$root/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$lib:$root/lib/x86_64-linux-gnu:$lib/pulseaudio"
exec "$root/usr/lib/chromium/chromium-headless-shell" "$@"
END
chmod +x "$out/chromium.part"
"$out/chromium.part" --version >&2
mv "$out/chromium.part" "$out/chromium"
