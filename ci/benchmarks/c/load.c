/*
 * The baseline: what a C program pays.
 *
 *     load STYLE JOB GROUP SIZE MILLISECONDS RATE
 *
 * STYLE  spin     upstream's cpgbench: one thread sends, tries again at once when refused, and
 *                 dispatches what is there after each message
 *        sleep    the same, with a pause of 1 ms before it tries again
 *        threads  one thread sends and spins, another one dispatches
 *        one      as spin, but dispatches one event at a time until there is none
 * JOB    flood    sends as much as it can
 *        echo     sends one message, waits until it is delivered here, sends the next
 *        paced    sends RATE messages a second, each at its time
 *        receive  delivers what another process sends, to the end
 *
 * The protocol is that of src/worker: it prints "ready" when it has joined, sends when it has read a
 * line, and prints names and numbers on one line when its last message has been delivered.
 */
#define _GNU_SOURCE /* ppoll */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <corosync/cpg.h>

/* What each message begins with: its number, with a mark on the last one, and when it was due. */
struct head {
	uint64_t number;
	uint64_t due;
};
#define LAST (1ULL << 63)

/* The clock is read once in so many small messages. */
#define CLOCK_EVERY 64

static cpg_handle_t handle;
static struct pollfd readable = { .events = POLLIN };
static int joined, sleeps, timed, one_at_a_time;
static atomic_int done;
static uint64_t delivered, first, last;
static uint64_t *latencies;
static size_t n_latencies, room;
static unsigned char *message;
static size_t size;
static uint64_t retries;

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void check(cs_error_t error, const char *what)
{
	if (error != CS_OK) {
		fprintf(stderr, "%s: %d\n", what, error);
		exit(1);
	}
}

static void deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid, void *data, size_t len)
{
	struct head head;

	(void)h, (void)group, (void)node, (void)pid;
	memcpy(&head, data, sizeof head);
	if (len != size || (head.number & ~LAST) != delivered) {
		fprintf(stderr, "message %llu came as number %llu\n", (unsigned long long)(head.number & ~LAST),
			(unsigned long long)delivered);
		exit(1);
	}
	if (timed) {
		if (n_latencies == room) {
			room = room ? 2 * room : 1 << 16;
			latencies = realloc(latencies, room * sizeof *latencies);
		}
		latencies[n_latencies++] = now(CLOCK_MONOTONIC) - head.due;
	}
	if (delivered++ == 0)
		first = now(CLOCK_MONOTONIC);
	if (head.number & LAST) {
		last = now(CLOCK_MONOTONIC);
		done = 1;
	}
}

static void confchg(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *left, size_t n_left, const struct cpg_address *joiners, size_t n_joiners)
{
	(void)h, (void)group, (void)members, (void)n_members, (void)left, (void)n_left, (void)joiners, (void)n_joiners;
	joined = 1;
}

static void dispatch(void)
{
	cs_error_t error = CS_OK;

	while (one_at_a_time && error == CS_OK)
		error = cpg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING);
	if (error == CS_ERR_TRY_AGAIN)
		return;
	check(error, "cpg_dispatch");
	check(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch");
}

static void wait_and_dispatch(void)
{
	poll(&readable, 1, -1);
	dispatch();
}

static void send_one(uint64_t number, uint64_t due)
{
	struct head head = { number, due };
	struct iovec iov = { message, size };
	struct timespec pause = { 0, 1000000 };
	cs_error_t error;

	memcpy(message, &head, sizeof head);
	while ((error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN) {
		retries++;
		if (sleeps)
			nanosleep(&pause, NULL);
	}
	check(error, "cpg_mcast_joined");
}

static void flood(uint64_t duration, int dispatches)
{
	uint64_t end = now(CLOCK_MONOTONIC) + duration;
	uint64_t every = size < 4096 ? CLOCK_EVERY : 1;
	int over = 0;

	for (uint64_t i = 0; !over; i++) {
		over = i % every == every - 1 && now(CLOCK_MONOTONIC) >= end;
		send_one(over ? i | LAST : i, 0);
		if (dispatches)
			dispatch();
	}
}

static void echo(uint64_t duration)
{
	uint64_t end = now(CLOCK_MONOTONIC) + duration;
	int over = 0;

	for (uint64_t i = 0; !over; i++) {
		uint64_t due = now(CLOCK_MONOTONIC);

		over = due >= end;
		send_one(over ? i | LAST : i, due);
		while (delivered <= i)
			wait_and_dispatch();
	}
}

static void paced(uint64_t duration, double rate, int dispatches)
{
	uint64_t begin = now(CLOCK_MONOTONIC);
	uint64_t count = duration / 1e9 * rate;

	/* A wait ends when it is over, not up to 50 microseconds later. */
	prctl(PR_SET_TIMERSLACK, 1);
	for (uint64_t i = 0; i <= count; i++) {
		uint64_t due = begin + (uint64_t)(i * (1e9 / rate)), t;

		while ((t = now(CLOCK_MONOTONIC)) < due) {
			struct timespec left = { (due - t) / 1000000000, (due - t) % 1000000000 };

			if (!dispatches)
				nanosleep(&left, NULL);
			else if (ppoll(&readable, 1, &left, NULL) > 0)
				dispatch();
		}
		send_one(i == count ? i | LAST : i, due);
		if (dispatches)
			dispatch();
	}
}

static void *dispatches_to_the_end(void *unused)
{
	while (!done)
		wait_and_dispatch();
	return unused;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, NULL, 0 };
	struct cpg_name group = { 0 };
	pthread_t other;
	uint64_t duration, wall, cpu;
	double rate;
	char line[16];
	int threads;

	if (argc != 7)
		return 2;
	threads = strcmp(argv[1], "threads") == 0;
	sleeps = strcmp(argv[1], "sleep") == 0;
	one_at_a_time = strcmp(argv[1], "one") == 0;
	group.length = strlen(argv[3]);
	memcpy(group.value, argv[3], group.length);
	size = strtoul(argv[4], NULL, 10);
	duration = strtoul(argv[5], NULL, 10) * 1000000;
	rate = strtod(argv[6], NULL);
	timed = strcmp(argv[2], "flood") != 0 && (strcmp(argv[2], "receive") != 0 || rate > 0);
	message = calloc(1, size);

	check(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL), "cpg_model_initialize");
	check(cpg_join(handle, &group), "cpg_join");
	check(cpg_fd_get(handle, &readable.fd), "cpg_fd_get");
	while (!joined)
		wait_and_dispatch();
	printf("ready\n");
	fflush(stdout);

	if (strcmp(argv[2], "receive") != 0 && !fgets(line, sizeof line, stdin))
		return 1;
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	threads = threads && (strcmp(argv[2], "flood") == 0 || strcmp(argv[2], "paced") == 0);
	if (threads && pthread_create(&other, NULL, dispatches_to_the_end, NULL) != 0)
		return 1;
	if (strcmp(argv[2], "flood") == 0)
		flood(duration, !threads);
	else if (strcmp(argv[2], "echo") == 0)
		echo(duration);
	else if (strcmp(argv[2], "paced") == 0)
		paced(duration, rate, !threads);
	if (threads)
		pthread_join(other, NULL);
	else
		dispatches_to_the_end(NULL);
	wall = now(CLOCK_MONOTONIC) - wall;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;

	printf("received %llu span %llu wall %llu cpu %llu retries %llu", (unsigned long long)delivered,
	       (unsigned long long)(last - first), (unsigned long long)wall, (unsigned long long)cpu,
	       (unsigned long long)retries);
	if (n_latencies) {
		qsort(latencies, n_latencies, sizeof *latencies, compare);
		printf(" p50 %llu p99 %llu p999 %llu", (unsigned long long)latencies[n_latencies / 2],
		       (unsigned long long)latencies[n_latencies * 99 / 100],
		       (unsigned long long)latencies[n_latencies * 999 / 1000]);
	}
	printf("\n");
	return 0;
}
