/*
 * The baseline: the cost in a C program.
 *
 *     cpgbench receive GROUP COUNT    delivers COUNT messages and prints "NANOSECONDS CPU_NANOSECONDS"
 *     cpgbench send GROUP COUNT SIZE  sends COUNT messages, one after the other, spinning on CS_ERR_TRY_AGAIN
 *
 * Both print "ready" when they have joined. The time is from the first delivery to the last.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <corosync/cpg.h>

static unsigned long delivered, wanted;
static long long first_wall, first_cpu;
static int joined;

static long long now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *msg, size_t len)
{
	if (delivered++ == 0) {
		first_wall = now(CLOCK_MONOTONIC);
		first_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	}
}

static void confchg(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *left, size_t n_left, const struct cpg_address *joiners, size_t n_joiners)
{
	joined = 1;
}

static void check(cs_error_t error, const char *what)
{
	if (error != CS_OK) {
		fprintf(stderr, "%s: %d\n", what, error);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, NULL, 0 };
	struct cpg_name group = { 0 };
	cpg_handle_t handle;
	struct pollfd fd = { 0, POLLIN, 0 };

	if (argc < 4)
		return 2;
	group.length = strlen(argv[2]);
	memcpy(group.value, argv[2], group.length);
	wanted = strtoul(argv[3], NULL, 10);
	check(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL), "cpg_model_initialize");
	check(cpg_join(handle, &group), "cpg_join");
	check(cpg_fd_get(handle, &fd.fd), "cpg_fd_get");
	while (!joined) {
		poll(&fd, 1, -1);
		check(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch");
	}
	printf("ready\n");
	fflush(stdout);

	if (strcmp(argv[1], "send") == 0) {
		struct iovec iov = { 0 };
		char go;
		cs_error_t error;

		iov.iov_len = strtoul(argv[4], NULL, 10);
		iov.iov_base = calloc(1, iov.iov_len);
		if (read(0, &go, 1) != 1)
			return 1;
		for (unsigned long i = 0; i < wanted; i++) {
			while ((error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN)
				cpg_dispatch(handle, CS_DISPATCH_ALL);
			check(error, "cpg_mcast_joined");
			if (i % 64 == 0)
				cpg_dispatch(handle, CS_DISPATCH_ALL);
		}
		while (delivered < wanted) {
			poll(&fd, 1, -1);
			check(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch");
		}
		return 0;
	}
	while (delivered < wanted) {
		poll(&fd, 1, -1);
		check(cpg_dispatch(handle, CS_DISPATCH_ALL), "cpg_dispatch");
	}
	printf("%lld %lld\n", now(CLOCK_MONOTONIC) - first_wall, now(CLOCK_PROCESS_CPUTIME_ID) - first_cpu);
	return 0;
}
