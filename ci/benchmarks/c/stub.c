/*
 * A libcpg without a daemon, for measuring the cost of a message in the program itself: `ci/bench --cost`.
 *
 * It has one connection in one group, and does as little as possible. Settings from the environment:
 *
 *     CPG_STUB_DELIVER  the number of messages of another member that wait to be dispatched after the join
 *     CPG_STUB_MESSAGE  a file with the bytes of each message (default: 64 zeros)
 *     CPG_STUB_ECHO     if set, sent messages are delivered; else they are dropped
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <corosync/cpg.h>

#define NODE 1
#define ANOTHER 2
#define MAX_ATOMIC (1024 * 1024 - 1024)
#define QUEUE 512

/* The messages that were sent and not yet delivered. The memory is used again. */
struct entry {
	unsigned char *data;
	size_t len, room;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry queue[QUEUE];
static size_t begin, end;
static int echoes;
static unsigned long deliveries;
static unsigned char *message;
static size_t message_len = 64;
static enum { NOTHING, JOIN, LEAVE } change;
static struct cpg_name group;
static cpg_model_v1_data_t callbacks;
static void *context;
/* The second is readable while events wait, and is in the program's table of descriptors. A program that connects on a thread with a
 * separate table takes only the first descriptor from that table, sees that the library names another one, and connects again on its
 * own thread. */
static int sockets[2] = { -1, -1 };
static int is_readable;
/* The members that the iteration has not yet returned: there is one, after the join. */
static int members_left;

static int is_pending(void)
{
	return change != NOTHING || (group.length > 0 && deliveries > 0) || begin != end;
}

static void update_readable(void)
{
	char byte = 0;

	if (is_pending() == is_readable)
		return;
	is_readable = !is_readable;
	if (is_readable ? write(sockets[0], &byte, 1) != 1 : read(sockets[1], &byte, 1) != 1)
		abort();
}

static void read_message(const char *path)
{
	FILE *file = fopen(path, "rb");
	long len;

	if (!file || fseek(file, 0, SEEK_END) != 0 || (len = ftell(file)) < 0)
		abort();
	rewind(file);
	message_len = len;
	message = malloc(len);
	if (fread(message, 1, len, file) != message_len)
		abort();
	fclose(file);
}

cs_error_t cpg_model_initialize(cpg_handle_t *handle, cpg_model_t model, cpg_model_data_t *data, void *given)
{
	const char *count = getenv("CPG_STUB_DELIVER"), *path = getenv("CPG_STUB_MESSAGE");

	if (model != CPG_MODEL_V1 || sockets[0] >= 0)
		return CS_ERR_INVALID_PARAM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) != 0)
		return CS_ERR_NO_RESOURCES;
	callbacks = *(cpg_model_v1_data_t *)data;
	context = given;
	echoes = getenv("CPG_STUB_ECHO") != NULL;
	deliveries = count ? strtoul(count, NULL, 10) : 0;
	if (path)
		read_message(path);
	else
		message = calloc(1, message_len);
	*handle = 1;
	return CS_OK;
}

cs_error_t cpg_initialize(cpg_handle_t *handle, cpg_callbacks_t *two)
{
	cpg_model_v1_data_t all = { CPG_MODEL_V1, two->cpg_deliver_fn, two->cpg_confchg_fn, NULL, 0 };

	return cpg_model_initialize(handle, CPG_MODEL_V1, (cpg_model_data_t *)&all, NULL);
}

cs_error_t cpg_finalize(cpg_handle_t handle)
{
	(void)handle;
	close(sockets[0]);
	close(sockets[1]);
	sockets[0] = -1;
	return CS_OK;
}

/* The real function does a look-up, which is not counted here: all programs that are compared pay the same for it. */
cs_error_t cpg_context_get(cpg_handle_t handle, void **to)
{
	(void)handle;
	if (sockets[0] < 0)
		return CS_ERR_BAD_HANDLE;
	*to = context;
	return CS_OK;
}

cs_error_t cpg_fd_get(cpg_handle_t handle, int *fd)
{
	(void)handle;
	*fd = sockets[1];
	return CS_OK;
}

cs_error_t cpg_max_atomic_msgsize_get(cpg_handle_t handle, uint32_t *size)
{
	(void)handle;
	*size = MAX_ATOMIC;
	return CS_OK;
}

static void call_confchg(cpg_handle_t handle)
{
	struct cpg_address me = { NODE, getpid(), CPG_REASON_JOIN };
	int joins = change == JOIN;

	change = NOTHING;
	update_readable();
	callbacks.cpg_confchg_fn(handle, &group, &me, joins, &me, !joins, &me, joins);
}

/* Hands over one event. Returns 0 if there is none. */
static int dispatch_one(cpg_handle_t handle)
{
	struct entry *entry;

	if (change != NOTHING) {
		call_confchg(handle);
		return 1;
	}
	if (deliveries > 0) {
		deliveries--;
		update_readable();
		callbacks.cpg_deliver_fn(handle, &group, ANOTHER, 1, message, message_len);
		return 1;
	}
	pthread_mutex_lock(&lock);
	entry = begin == end ? NULL : &queue[begin % QUEUE];
	pthread_mutex_unlock(&lock);
	if (!entry)
		return 0;
	/* The buffer is not used again before it is given back. */
	callbacks.cpg_deliver_fn(handle, &group, NODE, getpid(), entry->data, entry->len);
	pthread_mutex_lock(&lock);
	begin++;
	update_readable();
	pthread_mutex_unlock(&lock);
	return 1;
}

cs_error_t cpg_dispatch(cpg_handle_t handle, cs_dispatch_flags_t flags)
{
	if (flags != CS_DISPATCH_ALL)
		return dispatch_one(handle) ? CS_OK : CS_ERR_TRY_AGAIN;
	while (dispatch_one(handle))
		;
	return CS_OK;
}

cs_error_t cpg_join(cpg_handle_t handle, const struct cpg_name *name)
{
	(void)handle;
	group = *name;
	change = JOIN;
	update_readable();
	return CS_OK;
}

cs_error_t cpg_leave(cpg_handle_t handle, const struct cpg_name *name)
{
	(void)handle, (void)name;
	change = LEAVE;
	update_readable();
	return CS_OK;
}

static void keep(const struct iovec *iov, unsigned int count)
{
	struct entry *entry = &queue[end % QUEUE];
	size_t len = 0;

	for (unsigned int i = 0; i < count; i++)
		len += iov[i].iov_len;
	if (len > entry->room) {
		free(entry->data);
		entry->data = malloc(len);
		entry->room = len;
	}
	entry->len = 0;
	for (unsigned int i = 0; i < count; i++) {
		memcpy(entry->data + entry->len, iov[i].iov_base, iov[i].iov_len);
		entry->len += iov[i].iov_len;
	}
	end++;
}

cs_error_t cpg_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee, const struct iovec *iov, unsigned int count)
{
	cs_error_t error = CS_OK;

	(void)handle, (void)guarantee;
	if (!echoes)
		return CS_OK;
	pthread_mutex_lock(&lock);
	if (end - begin == QUEUE)
		error = CS_ERR_TRY_AGAIN;
	else
		keep(iov, count);
	update_readable();
	pthread_mutex_unlock(&lock);
	return error;
}

cs_error_t cpg_membership_get(cpg_handle_t handle, struct cpg_name *name, struct cpg_address *list, int *entries)
{
	(void)handle, (void)name;
	list[0] = (struct cpg_address){ NODE, getpid(), CPG_REASON_UNDEFINED };
	*entries = 1;
	return CS_OK;
}

cs_error_t cpg_local_get(cpg_handle_t handle, unsigned int *node)
{
	(void)handle;
	*node = NODE;
	return CS_OK;
}

cs_error_t cpg_flow_control_state_get(cpg_handle_t handle, cpg_flow_control_state_t *state)
{
	(void)handle;
	*state = CPG_FLOW_CONTROL_DISABLED;
	return CS_OK;
}

cs_error_t cpg_iteration_initialize(cpg_handle_t handle, cpg_iteration_type_t type, const struct cpg_name *name,
				    cpg_iteration_handle_t *iteration)
{
	(void)handle, (void)type, (void)name;
	*iteration = 1;
	members_left = group.length > 0;
	return CS_OK;
}

cs_error_t cpg_iteration_next(cpg_iteration_handle_t iteration, struct cpg_iteration_description_t *description)
{
	(void)iteration;
	if (members_left == 0)
		return CS_ERR_NO_SECTIONS;
	members_left--;
	*description = (struct cpg_iteration_description_t){ group, NODE, getpid() };
	return CS_OK;
}

cs_error_t cpg_iteration_finalize(cpg_iteration_handle_t iteration)
{
	(void)iteration;
	return CS_OK;
}

/* The other functions exist only for linking. */

cs_error_t cpg_zcb_alloc(cpg_handle_t handle, size_t size, void **buffer)
{
	(void)handle, (void)size, (void)buffer;
	return CS_ERR_NOT_SUPPORTED;
}

cs_error_t cpg_zcb_free(cpg_handle_t handle, void *buffer)
{
	(void)handle, (void)buffer;
	return CS_ERR_NOT_SUPPORTED;
}

cs_error_t cpg_zcb_mcast_joined(cpg_handle_t handle, cpg_guarantee_t guarantee, void *data, size_t len)
{
	(void)handle, (void)guarantee, (void)data, (void)len;
	return CS_ERR_NOT_SUPPORTED;
}
