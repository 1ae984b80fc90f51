/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's page allocator, timed round by round: one line in, one line out, so that another process's rounds can lie
 * between. Each round has a process of its own, warmed up. Built by bench/linux_rounds.py against the library that
 * `make peer` leaves in build/linux-pagealloc.
 *
 * in:  CASE PAGES BATCH FUNCTIONS     CASE is one of take, release, forced
 * out: GIVE BACK BYTES                 nanoseconds to give all and to have all back, bytes that the allocator had
 *                                      meanwhile for the pages alone
 *
 * Pages are given by page requests for BATCH of them, the functions in turn; addresses ascend. They come back
 * take:    by page requests too; firmware returns them in random order
 * release: by one release_all event for each function
 * forced:  by the reclaim of a close with the device gone: every page is freed without a command
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "oracle.h"

#define OWN 1
#define FIRST 2
#define RELEASE_ALL 0x4000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "linux_rounds: %s\n", what);
	exit(1);
}

static oracle_t *device(uint64_t pages, int functions)
{
	oracle_t *o = oracle_create(pages + 16, 0x100000, 0, 42);

	oracle_set_jiffies_per_cmd(o, 0);
	oracle_set_vhca_id(o, OWN);
	oracle_set_icm_mode(o, 1, 1);
	oracle_set_eswitch(o, 1);
	for (int f = 0; f < functions; f++)
		oracle_set_vhca_type(o, FIRST + f, 1 + f % 2);
	if (oracle_satisfy_startup_pages(o, 1) || oracle_satisfy_startup_pages(o, 0) || oracle_start(o))
		die("it does not start");
	return o;
}

static uint64_t live(oracle_t *o)
{
	struct oracle_stats s;

	oracle_get_stats(o, &s);
	return s.kmalloc_live_bytes;
}

static void requests(oracle_t *o, uint64_t each, uint64_t batch, int functions, int sign)
{
	for (uint64_t done = 0; done < each; done += batch)
		for (int f = 0; f < functions; f++) {
			uint64_t n = done + batch > each ? each - done : batch;

			oracle_event(o, FIRST + f, 0, sign * (int32_t)n);
			oracle_run_work(o, -1);
		}
}

/* gives all and has all back; what is not to be timed is a warm-up, in which pages come back last given, first */
static void life(const char *what, uint64_t pages, uint64_t batch, int functions, int timed)
{
	oracle_t *o = device(pages, functions);
	uint64_t each = pages / functions, before = live(o), bytes;
	struct oracle_counters c;
	double start, given, back;

	start = now();
	requests(o, each, batch, functions, 1);
	given = now() - start;
	bytes = live(o) - before;
	for (int f = 0; f < functions; f++) {
		if (oracle_fw_held(o, FIRST + f) != each)
			die("not all was given");
		if (timed)
			oracle_fw_shuffle(o, FIRST + f);
	}
	start = now();
	if (!timed || !strcmp(what, "take")) {
		requests(o, each, batch, functions, -1);
	} else if (!strcmp(what, "release")) {
		for (int f = 0; f < functions; f++) {
			oracle_event(o, FIRST + f, RELEASE_ALL, 0);
			oracle_run_work(o, -1);
		}
	} else if (!strcmp(what, "forced")) {
		oracle_set_dev_state(o, 1);
		oracle_set_cmd_down(o, 1);
		oracle_reclaim_startup_pages(o);
	} else {
		die("no such case");
	}
	back = now() - start;
	oracle_get_counters(o, &c);
	if (c.fw_pages)
		die("pages are left");
	oracle_destroy(o);
	if (timed) {
		printf("%.0f %.0f %lu\n", given, back, (unsigned long)bytes);
		fflush(stdout);
	}
}

int main(void)
{
	char line[128], what[16];
	unsigned long pages, batch;
	int functions, status;

	while (fgets(line, sizeof(line), stdin)) {
		pid_t child;

		if (sscanf(line, "%15s %lu %lu %d", what, &pages, &batch, &functions) != 4)
			die("a line is CASE PAGES BATCH FUNCTIONS");
		/* in a process of its own: what an allocator looks like after pages came back at random slows the next round */
		child = fork();
		if (!child) {
			life(what, pages, batch, functions, 0);
			life(what, pages, batch, functions, 1);
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			die("a round failed");
	}
	return 0;
}
