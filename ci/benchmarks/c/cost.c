/*
 * What a message costs a C program, on the stub:
 *
 *     cost deliver COUNT  dispatches COUNT messages
 *     cost send COUNT     sends COUNT messages
 *     cost both COUNT     sends COUNT messages and dispatches them, 64 at a time
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <corosync/cpg.h>

#define SIZE 64
#define BATCH 64

static int joined;
static unsigned long delivered, bytes;

static void deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid, void *data, size_t len)
{
	(void)handle, (void)group, (void)node, (void)pid, (void)data;
	delivered++;
	bytes += len;
}

static void confchg(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *left, size_t n_left, const struct cpg_address *joiners, size_t n_joiners)
{
	(void)h, (void)group, (void)members, (void)n_members, (void)left, (void)n_left, (void)joiners, (void)n_joiners;
	joined = 1;
}

static void check(cs_error_t error)
{
	if (error != CS_OK)
		exit(1);
}

int main(int argc, char **argv)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, NULL, 0 };
	struct cpg_name group = { 4, "cost" };
	static char message[SIZE];
	struct iovec iov = { message, SIZE };
	int sends, dispatches;
	unsigned long count;
	cpg_handle_t handle;

	if (argc != 3)
		return 2;
	sends = strcmp(argv[1], "deliver") != 0;
	dispatches = strcmp(argv[1], "send") != 0;
	count = strtoul(argv[2], NULL, 10);
	check(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL));
	check(cpg_join(handle, &group));
	while (!joined)
		check(cpg_dispatch(handle, CS_DISPATCH_ONE));
	for (unsigned long i = 1; sends && i <= count; i++) {
		check(cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1));
		if (dispatches && i % BATCH == 0)
			check(cpg_dispatch(handle, CS_DISPATCH_ALL));
	}
	while (dispatches && delivered < count)
		check(cpg_dispatch(handle, CS_DISPATCH_ALL));
	return bytes != (dispatches ? count * SIZE : 0);
}
