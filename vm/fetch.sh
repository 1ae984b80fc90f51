# Debian packages without installing them. Sourced by build.sh, which sets out, mirror, say and die.

OLDER="${FWPAGES_VM_OLDER:-trixie}"
OLDEST="${FWPAGES_VM_OLDEST:-bookworm}"
OLDEST_QEMU=10.1

# where this machine's own apt gets Debian from: the project names no mirror
mirror_of_this_machine() {
	local codename site
	codename="$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")"
	site="$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
		awk -v c="$codename" '$2 == "main" && ($1 == c || $1 == "sid" || $1 == "unstable" || $1 == "testing" || $1 == "stable") { print $3; exit }')"
	# an apt that was never updated lists no targets: its sources say the same
	[ -n "$site" ] || site="$(sources | awk -v c="$codename" '$2 == c && / main( |$)/ { print $1; exit }')"
	[ -n "$site" ] || die "apt here has no source with Debian's main component for $codename"
	printf '%s\n' "$site"
}

# every source of this machine's apt, "address suite components" a line
sources() {
	local file
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$file" ] && sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}//p' "$file"
	done
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -e "$file" ] && awk 'BEGIN { RS = "" } {
			uris = suites = components = ""
			n = split($0, rows, "\n")
			for (i = 1; i <= n; i++) {
				if (rows[i] ~ /^URIs:/) uris = substr(rows[i], 6)
				if (rows[i] ~ /^Suites:/) suites = substr(rows[i], 8)
				if (rows[i] ~ /^Components:/) components = substr(rows[i], 12)
			}
			split(uris, u, " "); m = split(suites, s, " ")
			for (i = 1; i <= m; i++) print u[1], s[i], components
		}' "$file"
	done
}

# an apt of its own for one suite: lists, cache and an empty list of installed packages
apt_for() {
	local suite="$1" tool="$2" state="$out/apt/$1"
	shift 2
	"$tool" -q -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache" \
		-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
		-o APT::Install-Recommends=false -o APT::Sandbox::User= -o Acquire::Languages=none \
		-o Acquire::Check-Valid-Until=false -o Debug::NoLocking=true "$@"
}

# the lists of a suite and of those that it builds upon; a mirror's unstable may be days behind
update() {
	local suite="$1" state="$out/apt/$1" base keyring=
	for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
		[ -e "$keyring" ] && break
	done
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	: >"$state/status"
	: >"$state/sources.list"
	for base in "$suite" ${suite%-backports}; do
		printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$base"
	done | sort -u >"$state/sources.list"
	[ "$suite" = "${suite%-backports}" ] || printf 'APT::Default-Release "%s";\n' "$suite" >"$state/release"
	apt_for "$suite" apt-get update >&2
}

version_of() { apt_for "$1" apt-cache policy "$2" | sed -n 's/^ *Candidate: *//p'; }

# the first suite whose QEMU speaks vfio-user
suite_with_qemu() {
	local suite version
	for suite in ${FWPAGES_VM_SUITE:-sid trixie-backports}; do
		update "$suite" || continue
		version="$(version_of "$suite" qemu-system-x86)"
		if [ -n "$version" ] && dpkg --compare-versions "${version#*:}" ge "$OLDEST_QEMU"; then
			printf '%s\n' "$suite"
			return
		fi
		say "make vm: QEMU in $suite is ${version:-missing}, $OLDEST_QEMU is needed"
	done
	die "no suite of this mirror has QEMU $OLDEST_QEMU or newer"
}

# unpack packages into a folder; with everything that they depend on, or without
unpack_all() {
	local suite="$1" into="$2" deb
	shift 2
	rm -f "$out/apt/$suite/cache/archives/"*.deb
	apt_for "$suite" apt-get install --download-only --yes "$@" >&2
	for deb in "$out/apt/$suite/cache/archives/"*.deb; do
		dpkg-deb -x "$deb" "$into"
	done
	rm -f "$out/apt/$suite/cache/archives/"*.deb
}

unpack_only() {
	local suite="$1" into="$2" deb
	shift 2
	mkdir -p "$out/apt/$suite/one"
	(cd "$out/apt/$suite/one" && rm -f ./*.deb && apt_for "$suite" apt-get download "$@" >&2)
	for deb in "$out/apt/$suite/one/"*.deb; do
		dpkg-deb -x "$deb" "$into"
	done
	rm -rf "$out/apt/$suite/one"
}
