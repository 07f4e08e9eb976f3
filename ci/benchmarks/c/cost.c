/*
 * Shows the cost of a message in a C program, with the stub:
 *
 *     cost STYLE deliver COUNT  dispatches COUNT messages
 *     cost STYLE send COUNT     sends COUNT messages
 *     cost STYLE both COUNT     sends COUNT messages and dispatches them, 64 at a time
 *
 * STYLE  all   dispatches all available events at once; its state is global
 *        twin  does the work of the crate in C: dispatches one event at a time until there is none, with its state behind
 *              the context pointer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <corosync/cpg.h>

#define SIZE 64
#define BATCH 64

/* The two fields that a message changes are not neighbours. Else the compiler would use a vector for both, with more instructions. */
struct state {
	unsigned long delivered;
	int joined;
	unsigned long bytes;
};

static struct state global;

static void check(cs_error_t error)
{
	if (error != CS_OK)
		exit(1);
}

static inline void receive(struct state *state, size_t len)
{
	state->delivered++;
	state->bytes += len;
}

static void deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid, void *data, size_t len)
{
	(void)h, (void)group, (void)node, (void)pid, (void)data;
	receive(&global, len);
}

static void confchg(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members, size_t n_members,
		    const struct cpg_address *left, size_t n_left, const struct cpg_address *joiners, size_t n_joiners)
{
	(void)h, (void)group, (void)members, (void)n_members, (void)left, (void)n_left, (void)joiners, (void)n_joiners;
	global.joined = 1;
}

static struct state *state_of(cpg_handle_t handle)
{
	void *context;

	check(cpg_context_get(handle, &context));
	return context;
}

static void twin_deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node, uint32_t pid, void *data, size_t len)
{
	(void)group, (void)node, (void)pid, (void)data;
	receive(state_of(h), len);
}

static void twin_confchg(cpg_handle_t h, const struct cpg_name *group, const struct cpg_address *members,
			 size_t n_members, const struct cpg_address *left, size_t n_left,
			 const struct cpg_address *joiners, size_t n_joiners)
{
	(void)group, (void)members, (void)n_members, (void)left, (void)n_left, (void)joiners, (void)n_joiners;
	state_of(h)->joined = 1;
}

static void dispatch(cpg_handle_t handle, int one_at_a_time)
{
	cs_error_t error;

	if (!one_at_a_time) {
		check(cpg_dispatch(handle, CS_DISPATCH_ALL));
		return;
	}
	while ((error = cpg_dispatch(handle, CS_DISPATCH_ONE_NONBLOCKING)) == CS_OK)
		;
	check(error == CS_ERR_TRY_AGAIN ? CS_OK : error);
}

int main(int argc, char **argv)
{
	cpg_model_v1_data_t model = { CPG_MODEL_V1, deliver, confchg, NULL, 0 };
	struct cpg_name group = { 4, "cost" };
	static char message[SIZE];
	struct iovec iov = { message, SIZE };
	struct state of_twin = { 0 }, *state = &global;
	int twin, sends, dispatches;
	unsigned long count;
	cpg_handle_t handle;

	if (argc != 4)
		return 2;
	twin = strcmp(argv[1], "twin") == 0;
	if (twin) {
		state = &of_twin;
		model.cpg_deliver_fn = twin_deliver;
		model.cpg_confchg_fn = twin_confchg;
	}
	sends = strcmp(argv[2], "deliver") != 0;
	dispatches = strcmp(argv[2], "send") != 0;
	count = strtoul(argv[3], NULL, 10);
	check(cpg_model_initialize(&handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, twin ? state : NULL));
	check(cpg_join(handle, &group));
	while (!state->joined)
		dispatch(handle, twin);
	for (unsigned long i = 1; sends && i <= count; i++) {
		check(cpg_mcast_joined(handle, CPG_TYPE_AGREED, &iov, 1));
		if (dispatches && i % BATCH == 0)
			dispatch(handle, twin);
	}
	while (dispatches && state->delivered < count)
		dispatch(handle, twin);
	return state->bytes != (dispatches ? count * SIZE : 0);
}
