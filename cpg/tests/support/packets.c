/*
 * A member of a group that coalesces. It uses only libcpg and the documentation of the module cpg::packet.
 *
 *     packets send GROUP COUNT [SIZE]    joins, sends COUNT messages, several per packet, and ends when all are
 *                                        delivered to it; byte J of message I is (13 I + 7 J) mod 256
 *     packets receive GROUP COUNT        joins, prints "ready", and a line for each of COUNT messages:
 *                                        "INDEX LENGTH CHECKSUM" (FNV-1a, 32 bits, in hexadecimal), with
 *                                        " plain" after it if it came without a packet
 *
 * Without SIZE, lengths take turns. Every third length is written as a longer varint than necessary.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <corosync/cpg.h>

#define MUST(call)                                                                                          \
	do {                                                                                                \
		cs_error_t error;                                                                           \
		while ((error = (call)) == CS_ERR_TRY_AGAIN)                                                \
			usleep(1000);                                                                       \
		if (error != CS_OK)                                                                         \
			die(#call, error);                                                                  \
	} while (0)

#define SEALED 0x01

static const unsigned char header[6] = { 0xc9, 0x50, 0x47, 0xb5, 1, 0 };
static const size_t lengths[] = { 0, 5, 127, 128, 20000, 1, 0, 16383, 16384, 300 };
static unsigned char packet[1 << 18];
static unsigned self;
static int printing, joined;
static long received, wanted;

static void die(const char *what, long detail)
{
	fprintf(stderr, "packets: %s: %ld\n", what, detail);
	exit(1);
}

static void message(const unsigned char *bytes, size_t len, const char *how)
{
	unsigned sum = 2166136261u;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	if (printing && received < wanted)
		printf("%ld %zu %08x%s\n", received, len, sum, how);
	received++;
}

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *msg, size_t len)
{
	const unsigned char *bytes = msg;
	size_t at = sizeof(header), seal = 8;

	if (!printing && (node != self || pid != (uint32_t)getpid()))
		return;
	if (len < 4 || memcmp(bytes, header, 4) != 0) {
		message(bytes, len, " plain");
		return;
	}
	if (len < sizeof(header) || bytes[4] != header[4] || (bytes[5] & 0x0f & ~SEALED) != 0)
		die("a header that cannot be read", len);
	if (bytes[5] & SEALED) {
		if (len < at + 2 * seal || memcmp(bytes + at, bytes + len - seal, seal) != 0)
			die("a part is missing in a packet of", len);
		at += seal;
		len -= seal;
	}
	while (at < len) {
		uint64_t size = 0;
		int shift = 0;
		do {
			if (at == len || shift == 35)
				die("a varint that cannot be read, before", at);
			size |= (uint64_t)(bytes[at] & 0x7f) << shift;
			shift += 7;
		} while (bytes[at++] & 0x80);
		if (size > 0x7fffffff || size > len - at)
			die("a message beyond the end, at", at);
		message(bytes + at, size, "");
		at += size;
	}
}

static void confchg(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *gone, size_t n_gone, const struct cpg_address *new, size_t n_new)
{
	for (size_t i = 0; i < n_new; i++)
		joined |= new[i].nodeid == self && new[i].pid == (uint32_t)getpid();
}

/* Waits for events, -1 for as long as it takes, and dispatches them. */
static void dispatch(cpg_handle_t handle, int timeout)
{
	struct pollfd fd = { -1, POLLIN, 0 };

	MUST(cpg_fd_get(handle, &fd.fd));
	poll(&fd, 1, timeout);
	MUST(cpg_dispatch(handle, CS_DISPATCH_ALL));
}

/* Writes message `index` as a frame; says how long the frame is. */
static size_t frame(unsigned char *to, long index, size_t len)
{
	size_t at = 0, left = len, least = index % 3 == 2 ? 5 : 1;

	for (; left >= 0x80 || at + 1 < least; left >>= 7)
		to[at++] = left | 0x80;
	to[at++] = left;
	for (size_t j = 0; j < len; j++)
		to[at++] = 13 * index + 7 * j;
	return at;
}

static void send_all(cpg_handle_t handle, long size)
{
	long index = 0;

	memcpy(packet, header, sizeof(header));
	for (int most = 0; index < wanted; most = (most + 1) % 8) {
		struct iovec iov = { packet, sizeof(header) };
		/* Up to `most` messages: 0 to 7, one packet after the other. */
		for (int n = 0; n < most && index < wanted; n++, index++) {
			size_t len = size >= 0 ? (size_t)size : lengths[index % 10];
			if (iov.iov_len + 5 + len > sizeof(packet))
				break;
			iov.iov_len += frame(packet + iov.iov_len, index, len);
		}
		MUST(cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1));
		dispatch(handle, 0);
	}
}

int main(int argc, char **argv)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, NULL, 0 };
	struct cpg_name group = { 0 };
	cpg_handle_t handle;
	long size = argc == 5 ? atol(argv[4]) : -1;

	printing = argc == 4 && strcmp(argv[1], "receive") == 0;
	if (argc < 4 || argc > 5 || (!printing && strcmp(argv[1], "send") != 0) || size > (long)sizeof(packet) - 11)
		return 2;
	group.length = strlen(argv[2]);
	memcpy(group.value, argv[2], group.length);
	wanted = atol(argv[3]);
	setvbuf(stdout, NULL, _IOLBF, 0);

	MUST(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	MUST(cpg_local_get(handle, &self));
	MUST(cpg_join(handle, &group));
	while (!joined)
		dispatch(handle, -1);
	if (printing)
		printf("ready\n");
	else
		send_all(handle, size);
	while (received < wanted)
		dispatch(handle, -1);
	MUST(cpg_finalize(handle));
	return 0;
}
