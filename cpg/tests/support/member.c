/*
 * Members of a group that use libcpg directly, as partners of the crate in tests.
 *
 *     member [-n] GROUP COUNT
 *
 * joins GROUP (with -n: including its NUL) with COUNT processes, and prints "joined COUNT" when each of them has got
 * the view of its join. A single process then prints its events (left) and obeys commands on its input (right):
 *
 *     deliver NODE:PID TEXT            send TEXT
 *     view MEMBERS -LEFT +JOINED       size N      (sends N bytes, each 'x')
 *     big NODE:PID BYTES SUM           leave       (and prints "left" when it has)
 *
 * At the end of its input, the process ends without leaving.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <corosync/cpg.h>

static int talk, seen, left;
static unsigned self;

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *msg, size_t len)
{
	if (!talk)
		return;
	if (len <= 200) {
		printf("deliver %u:%u %.*s\n", node, pid, (int)len, (const char *)msg);
	} else {
		unsigned long sum = 0;
		for (size_t i = 0; i < len; i++)
			sum += ((const unsigned char *)msg)[i];
		printf("big %u:%u %zu %lu\n", node, pid, len, sum);
	}
}

static void list(const char *sign, const struct cpg_address *who, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf(" %s%u:%u", sign, who[i].nodeid, who[i].pid);
}

static void confchg(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *gone, size_t n_gone, const struct cpg_address *joined, size_t n_joined)
{
	for (size_t i = 0; i < n_joined; i++)
		seen |= joined[i].nodeid == self && joined[i].pid == (uint32_t)getpid();
	for (size_t i = 0; i < n_gone; i++)
		left |= gone[i].nodeid == self && gone[i].pid == (uint32_t)getpid();
	if (!talk)
		return;
	printf("view");
	list("", members, n_members);
	list("-", gone, n_gone);
	list("+", joined, n_joined);
	printf("\n");
}

static void die(const char *what, cs_error_t error)
{
	fprintf(stderr, "%s: %d\n", what, error);
	exit(1);
}

static void obey(cpg_handle_t handle, const struct cpg_name *group, char *line)
{
	struct iovec iov = { 0 };
	cs_error_t error;

	if (strncmp(line, "send ", 5) == 0) {
		iov.iov_base = line + 5;
		iov.iov_len = strlen(line + 5);
	} else if (strncmp(line, "size ", 5) == 0) {
		iov.iov_len = strtoul(line + 5, NULL, 10);
		iov.iov_base = malloc(iov.iov_len);
		memset(iov.iov_base, 'x', iov.iov_len);
	} else {
		while ((error = cpg_leave(handle, group)) == CS_ERR_TRY_AGAIN)
			usleep(1000);
		if (error != CS_OK)
			die("cpg_leave", error);
		return;
	}
	while ((error = cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1)) == CS_ERR_TRY_AGAIN)
		usleep(1000);
	if (error != CS_OK)
		die("cpg_mcast_joined", error);
}

/* Joins, tells `ready`, and lives until the input ends. */
static void live(const struct cpg_name *group, int ready)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, NULL, 0 };
	cpg_handle_t handle;
	cs_error_t error;
	int fd, told = 0, said_left = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((error = cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL)) == CS_ERR_TRY_AGAIN)
		usleep(1000);
	if (error != CS_OK)
		die("cpg_model_initialize", error);
	while ((error = cpg_local_get(handle, &self)) == CS_ERR_TRY_AGAIN)
		usleep(1000);
	cpg_fd_get(handle, &fd);
	while ((error = cpg_join(handle, group)) == CS_ERR_TRY_AGAIN)
		usleep(1000);
	if (error != CS_OK)
		die("cpg_join", error);

	struct pollfd fds[2] = { { fd, POLLIN, 0 }, { talk ? 0 : -1, POLLIN, 0 } };
	for (;;) {
		poll(fds, 2, -1);
		if (fds[0].revents && (error = cpg_dispatch(handle, CS_DISPATCH_ALL)) != CS_OK)
			die("cpg_dispatch", error);
		if (seen && !told) {
			told = 1;
			if (talk)
				printf("joined 1\n");
			else if (write(ready, "", 1) != 1)
				exit(1);
		}
		if (left && !said_left) {
			said_left = 1;
			printf("left\n");
		}
		if (fds[1].revents) {
			char line[4096];
			size_t n = 0;
			while (n < sizeof(line) - 1 && read(0, line + n, 1) == 1 && line[n] != '\n')
				n++;
			if (n == 0)
				exit(0);
			line[n] = 0;
			obey(handle, group, line);
		}
	}
}

int main(int argc, char **argv)
{
	int with_nul = argc > 1 && strcmp(argv[1], "-n") == 0;
	struct cpg_name group = { 0 };
	int count, ready[2];
	char byte;

	argv += with_nul;
	argc -= with_nul;
	if (argc != 3 || pipe(ready) != 0)
		return 2;
	group.length = strlen(argv[1]) + with_nul;
	memcpy(group.value, argv[1], group.length);
	count = atoi(argv[2]);
	talk = count == 1;
	if (talk)
		live(&group, ready[1]);
	for (int i = 0; i < count; i++)
		if (fork() == 0)
			live(&group, ready[1]);
	close(ready[1]);
	for (int i = 0; i < count; i++)
		if (read(ready[0], &byte, 1) != 1)
			return 1;
	printf("joined %d\n", count);
	fflush(stdout);
	while (read(0, &byte, 1) == 1)
		;
	kill(0, SIGKILL);
	return 0;
}
