/*
 * The baseline: the cost in a C program.
 *
 *     load STYLE JOB GROUP SIZE MILLISECONDS RATE
 *
 * STYLE  spin     upstream's cpgbench: one thread sends, repeats a refused send at once, and
 *                 dispatches the available events after each message
 *        sleep    the same, with a pause of 1 ms before it repeats a send
 *        threads  one thread sends and spins, another one dispatches
 *        one      as spin, but dispatches one event at a time until there is none
 *        twin     as one, with its state behind the context pointer, which is the work of the crate
 * JOB    flood    sends as many messages as it can
 *        echo     sends one message, waits until it is delivered here, sends the next
 *        paced    sends RATE messages per second, each at its time
 *        receive  receives the messages of another process, up to the last
 *
 * The protocol is that of src/worker: the program prints "ready" when it has joined, sends when it has read a
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

/* The beginning of each message: its number, with a mark on the last one, and the time at which it was due. */
struct head {
	uint64_t number;
	uint64_t due;
};
#define LAST (1ULL << 63)

/* The number of small messages for which the clock is read once. */
#define CLOCK_EVERY 64

/* The state of the program. */
struct member {
	cpg_handle_t handle;
	int fd, joined, sleeps, timed, one_at_a_time;
	atomic_int done;
	uint64_t delivered, first, last;
	uint64_t *latencies;
	size_t n_latencies, room;
	unsigned char *message;
	size_t size;
	uint64_t retries;
};

/* The state of all styles except the twin. */
static struct member global;

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

static inline void receive(struct member *m, const void *data, size_t len)
{
	struct head head;

	memcpy(&head, data, sizeof head);
	if (len != m->size || (head.number & ~LAST) != m->delivered) {
		fprintf(stderr, "message %llu came as number %llu\n", (unsigned long long)(head.number & ~LAST),
			(unsigned long long)m->delivered);
		exit(1);
	}
	if (m->timed) {
		if (m->n_latencies == m->room) {
			m->room = m->room ? 2 * m->room : 1 << 16;
			m->latencies = realloc(m->latencies, m->room * sizeof *m->latencies);
		}
		m->latencies[m->n_latencies++] = now(CLOCK_MONOTONIC) - head.due;
	}
	if (m->delivered++ == 0)
		m->first = now(CLOCK_MONOTONIC);
	if (head.number & LAST) {
		m->last = now(CLOCK_MONOTONIC);
		m->done = 1;
	}
}

static void deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid, void *data, size_t len)
{
	(void)h, (void)group, (void)node, (void)pid;
	receive(&global, data, len);
}

static void confchg(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *left, size_t n_left, const struct cpg_address *joiners, size_t n_joiners)
{
	(void)h, (void)group, (void)members, (void)n_members, (void)left, (void)n_left, (void)joiners, (void)n_joiners;
	global.joined = 1;
}

static struct member *member_of(cpg_handle_t handle)
{
	void *context;

	check(cpg_context_get(handle, &context), "cpg_context_get");
	return context;
}

static void twin_deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid, void *data, size_t len)
{
	(void)group, (void)node, (void)pid;
	receive(member_of(h), data, len);
}

static void twin_confchg(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members,
			 size_t n_members, const struct cpg_address *left, size_t n_left,
			 const struct cpg_address *joiners, size_t n_joiners)
{
	(void)group, (void)members, (void)n_members, (void)left, (void)n_left, (void)joiners, (void)n_joiners;
	member_of(h)->joined = 1;
}

static void dispatch(struct member *m)
{
	cs_error_t error = CS_OK;

	while (m->one_at_a_time && error == CS_OK)
		error = cpg_dispatch(m->handle, CS_DISPATCH_ONE_NONBLOCKING);
	if (error == CS_ERR_TRY_AGAIN)
		return;
	check(error, "cpg_dispatch");
	check(cpg_dispatch(m->handle, CS_DISPATCH_ALL), "cpg_dispatch");
}

static void wait_and_dispatch(struct member *m)
{
	struct pollfd readable = { m->fd, POLLIN, 0 };

	poll(&readable, 1, -1);
	dispatch(m);
}

static void send_one(struct member *m, uint64_t number, uint64_t due)
{
	struct head head = { number, due };
	struct iovec iov = { m->message, m->size };
	struct timespec pause = { 0, 1000000 };
	cs_error_t error;

	memcpy(m->message, &head, sizeof head);
	while ((error = cpg_mcast_joined(m->handle, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN) {
		m->retries++;
		if (m->sleeps)
			nanosleep(&pause, NULL);
	}
	check(error, "cpg_mcast_joined");
}

static void flood(struct member *m, uint64_t duration, int dispatches)
{
	uint64_t end = now(CLOCK_MONOTONIC) + duration;
	uint64_t every = m->size < 4096 ? CLOCK_EVERY : 1;
	int over = 0;

	for (uint64_t i = 0; !over; i++) {
		over = i % every == every - 1 && now(CLOCK_MONOTONIC) >= end;
		send_one(m, over ? i | LAST : i, 0);
		if (dispatches)
			dispatch(m);
	}
}

static void echo(struct member *m, uint64_t duration)
{
	uint64_t end = now(CLOCK_MONOTONIC) + duration;
	int over = 0;

	for (uint64_t i = 0; !over; i++) {
		uint64_t due = now(CLOCK_MONOTONIC);

		over = due >= end;
		send_one(m, over ? i | LAST : i, due);
		while (m->delivered <= i)
			wait_and_dispatch(m);
	}
}

static void paced(struct member *m, uint64_t duration, double rate, int dispatches)
{
	uint64_t begin = now(CLOCK_MONOTONIC);
	uint64_t count = duration / 1e9 * rate;
	struct pollfd readable = { m->fd, POLLIN, 0 };

	/* Waits end on time, and not up to 50 microseconds later. */
	prctl(PR_SET_TIMERSLACK, 1);
	for (uint64_t i = 0; i <= count; i++) {
		uint64_t due = begin + (uint64_t)(i * (1e9 / rate)), t;

		while ((t = now(CLOCK_MONOTONIC)) < due) {
			struct timespec left = { (due - t) / 1000000000, (due - t) % 1000000000 };

			if (!dispatches)
				nanosleep(&left, NULL);
			else if (ppoll(&readable, 1, &left, NULL) > 0)
				dispatch(m);
		}
		send_one(m, i == count ? i | LAST : i, due);
		if (dispatches)
			dispatch(m);
	}
}

static void *dispatches_to_the_end(void *member)
{
	struct member *m = member;

	while (!m->done)
		wait_and_dispatch(m);
	return NULL;
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
	struct member twin = { 0 }, *m = &global;
	pthread_t other;
	uint64_t duration, wall, cpu;
	double rate;
	char line[16];
	int threads;

	if (argc != 7)
		return 2;
	if (strcmp(argv[1], "twin") == 0) {
		m = &twin;
		model.cpg_deliver_fn = twin_deliver;
		model.cpg_confchg_fn = twin_confchg;
	}
	threads = strcmp(argv[1], "threads") == 0;
	m->sleeps = strcmp(argv[1], "sleep") == 0;
	m->one_at_a_time = strcmp(argv[1], "one") == 0 || m == &twin;
	group.length = strlen(argv[3]);
	memcpy(group.value, argv[3], group.length);
	m->size = strtoul(argv[4], NULL, 10);
	duration = strtoul(argv[5], NULL, 10) * 1000000;
	rate = strtod(argv[6], NULL);
	m->timed = strcmp(argv[2], "flood") != 0 && (strcmp(argv[2], "receive") != 0 || rate > 0);
	m->message = calloc(1, m->size);

	check(cpg_model_initialize(&m->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, m == &twin ? m : NULL),
	      "cpg_model_initialize");
	check(cpg_join(m->handle, &group), "cpg_join");
	check(cpg_fd_get(m->handle, &m->fd), "cpg_fd_get");
	while (!m->joined)
		wait_and_dispatch(m);
	printf("ready\n");
	fflush(stdout);

	if (strcmp(argv[2], "receive") != 0 && !fgets(line, sizeof line, stdin))
		return 1;
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	threads = threads && (strcmp(argv[2], "flood") == 0 || strcmp(argv[2], "paced") == 0);
	if (threads && pthread_create(&other, NULL, dispatches_to_the_end, m) != 0)
		return 1;
	if (strcmp(argv[2], "flood") == 0)
		flood(m, duration, !threads);
	else if (strcmp(argv[2], "echo") == 0)
		echo(m, duration);
	else if (strcmp(argv[2], "paced") == 0)
		paced(m, duration, rate, !threads);
	if (threads)
		pthread_join(other, NULL);
	else
		dispatches_to_the_end(m);
	wall = now(CLOCK_MONOTONIC) - wall;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;

	printf("received %llu span %llu wall %llu cpu %llu retries %llu", (unsigned long long)m->delivered,
	       (unsigned long long)(m->last - m->first), (unsigned long long)wall, (unsigned long long)cpu,
	       (unsigned long long)m->retries);
	if (m->n_latencies) {
		qsort(m->latencies, m->n_latencies, sizeof *m->latencies, compare);
		printf(" p50 %llu p99 %llu p999 %llu", (unsigned long long)m->latencies[m->n_latencies / 2],
		       (unsigned long long)m->latencies[m->n_latencies * 99 / 100],
		       (unsigned long long)m->latencies[m->n_latencies * 999 / 1000]);
	}
	printf("\n");
	return 0;
}
