#!/bin/sh
# Copies Linux's page allocator, with what makes a library of it, into a scratch folder and builds it there.
# Its code is GPL: it stays in the scratch folder, which git ignores, and nothing of the package imports it.
set -eu
from=../shared/peers/linux-pagealloc
to=${1:?folder}

fail() { echo "peer: $1; tests against Linux's own page allocator will be skipped" >&2; exit 1; }

if [ -d "$from" ]; then
	mkdir -p "$to"
	cp -R -p "$from"/. "$to"/
	chmod -R u+w "$to"
elif [ ! -f "$to/Makefile" ]; then
	fail "$from is not there"
fi
command -v "${CC:-gcc}" >/dev/null || fail "there is no C compiler (gcc)"
for tool in python3 dpkg xz; do
	[ -f "$to/.fetched" ] || command -v $tool >/dev/null || fail "there is no $tool"
done
if [ ! -f "$to/.fetched" ]; then
	# half of a kernel's sources, from a fetch that was cut short, would be taken for all of them
	rm -rf "$to/src"
	(cd "$to" && ./fetch.sh) || fail "Linux's sources could not be fetched (apt-get of Debian or a derivative)"
	touch "$to/.fetched"
fi
make -s -C "$to" liboracle.so liboracle64k.so || fail "Linux's page allocator does not compile"
echo "peer: $to"
