#!/bin/sh
# A CI job: load and unload a kernel's mlx5_core on a served device. Its exit code is the verdict of `fwpages serve`:
# 0 nothing wrong was seen, 1 the driver broke a rule or left pages behind, 4 not known.
#
#   examples/load-in-ci.sh [SCENARIO]     artifacts (trace, report, kernel log, JUnit XML) in ./ci
#
# QEMU, KERNEL and INITRD name others than `make vm` built; the initramfs has vm/init, which takes commands from the
# second serial port, a number and a command a line.
set -eu
scenario="${1:-connectx7}"
qemu="${QEMU:-build/vm/qemu}" kernel="${KERNEL:-build/vm/new/vmlinuz}" initrd="${INITRD:-build/vm/new/initramfs}"
mkdir -p ci
socket="$(mktemp -d)"
trap 'rm -rf "$socket"; kill $(jobs -p) 2>/dev/null || :' EXIT

fwpages serve --socket "$socket/device" --once --trace ci/trace.jsonl --junit ci/junit.xml "$scenario" >ci/report.txt &
server=$!
while [ ! -S "$socket/device" ]; do kill -0 "$server" && sleep 0.1; done

mkfifo "$socket/port.in" "$socket/port.out"
"$qemu" -M q35,memory-backend=ram -m 1G -object memory-backend-memfd,id=ram,size=1G,share=on \
	-device pcie-root-port,id=rp0,slot=1 \
	-device "{\"driver\":\"vfio-user-pci\",\"bus\":\"rp0\",\"socket\":{\"type\":\"unix\",\"path\":\"$socket/device\"}}" \
	-nodefaults -display none -no-reboot -serial file:ci/console.log -serial "pipe:$socket/port" \
	-kernel "$kernel" -initrd "$initrd" -append 'console=ttyS0 panic=-1 no_timer_check' &
machine=$!
cat "$socket/port.out" >ci/guest.txt &
until grep -q READY ci/guest.txt; do kill -0 "$machine" && sleep 0.2; done
# the scenario's steps happen while the driver is loaded: give them the time that they need
printf '%s\n' '1 load' "2 sleep ${SECONDS_LOADED:-10}" '3 pages' '4 unload' '5 poweroff -f' >"$socket/port.in"

status=0
wait "$server" || status=$?
cat ci/report.txt
exit "$status"
