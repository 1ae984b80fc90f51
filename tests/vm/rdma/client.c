/*
 * A program on rdma-core's driver of mlx5 devices on VFIO (providers/mlx5/mlx5_vfio.c), unmodified.
 *
 *     client ADDRESS
 *
 * It opens the PCI function, makes one object of each kind, says so in a line of JSON, and answers page requests until
 * SIGTERM; then it destroys them, closes the device, and says what it met. The device must be bound to vfio-pci.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <infiniband/mlx5dv.h>
#include <infiniband/verbs.h>

enum {
	PAGE = 4096,
	/* milliseconds: the longest wait for an event before the driver is asked to look at its queue anyway */
	PATIENCE = 200,
	/* DEVX passes commands through as they are: CREATE_EQ, and where its fields lie (bytes) */
	CREATE_EQ = 0x301, CREATE_EQ_IN = 272, CREATE_EQ_OUT = 16,
	EQ_CONTEXT = 16, LOG_EQ_SIZE = EQ_CONTEXT + 12, INTR = EQ_CONTEXT + 22, EVENT_MASK = 88, EQ_NUMBER = 11,
	/* an event of ports, which this device does not raise */
	PORT_CHANGE = 9,
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void need(int done, const char *what)
{
	if (done)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static struct ibv_context *opened(char *address)
{
	struct mlx5dv_vfio_context_attr attr = { .pci_name = address };
	struct ibv_device **devices = mlx5dv_get_vfio_device_list(&attr);
	struct ibv_context *context;

	need(devices != NULL, "mlx5dv_get_vfio_device_list");
	context = ibv_open_device(devices[0]);
	need(context != NULL, "ibv_open_device");
	ibv_free_device_list(devices);
	return context;
}

static struct mlx5dv_devx_eq *event_queue(struct ibv_context *context, uint32_t uar, int vector, uint8_t *number)
{
	uint8_t in[CREATE_EQ_IN] = { CREATE_EQ >> 8, CREATE_EQ & 0xff }, out[CREATE_EQ_OUT] = { 0 };
	struct mlx5dv_devx_eq *eq;

	/* 64 entries: log_eq_size in the low bits of a byte, uar_page in the three that follow */
	in[LOG_EQ_SIZE] = 6;
	in[LOG_EQ_SIZE + 1] = uar >> 16;
	in[LOG_EQ_SIZE + 2] = uar >> 8;
	in[LOG_EQ_SIZE + 3] = uar;
	in[INTR] = vector >> 8;
	in[INTR + 1] = vector;
	in[EVENT_MASK + 7 - PORT_CHANGE / 8] = 1 << PORT_CHANGE % 8;
	eq = mlx5dv_devx_create_eq(context, in, sizeof(in), out, sizeof(out));
	need(eq != NULL, "mlx5dv_devx_create_eq");
	*number = out[EQ_NUMBER];
	return eq;
}

/* Answer page requests until SIGTERM; the number of times that the driver reported an error. */
static int served(struct ibv_context *context)
{
	struct pollfd events = { .fd = mlx5dv_vfio_get_events_fd(context), .events = POLLIN };
	int errors = 0;

	while (!stopped) {
		if (poll(&events, 1, PATIENCE) < 0 && errno != EINTR)
			need(0, "poll");
		if (mlx5dv_vfio_process_events(context))
			errors++;
	}
	return errors;
}

int main(int argc, char **argv)
{
	static char memory[4 * PAGE] __attribute__((aligned(PAGE)));
	int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE, errors;
	struct mlx5dv_devx_msi_vector *vector;
	struct mlx5dv_devx_umem *umem;
	struct mlx5dv_devx_uar *uar;
	struct mlx5dv_devx_eq *eq;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_mr *mr;
	uint8_t eqn;

	need(argc == 2, "one argument: the PCI address");
	signal(SIGTERM, stop);
	context = opened(argv[1]);
	pd = ibv_alloc_pd(context);
	need(pd != NULL, "ibv_alloc_pd");
	mr = ibv_reg_mr(pd, memory, sizeof(memory), access);
	need(mr != NULL, "ibv_reg_mr");
	uar = mlx5dv_devx_alloc_uar(context, MLX5DV_UAR_ALLOC_TYPE_NC);
	need(uar != NULL, "mlx5dv_devx_alloc_uar");
	umem = mlx5dv_devx_umem_reg(context, memory, sizeof(memory), access);
	need(umem != NULL, "mlx5dv_devx_umem_reg");
	vector = mlx5dv_devx_alloc_msi_vector(context);
	need(vector != NULL, "mlx5dv_devx_alloc_msi_vector");
	eq = event_queue(context, uar->page_id, vector->vector, &eqn);
	printf("{\"uar\": %u, \"eq\": %u, \"vector\": %d, \"umem\": %u}\n", uar->page_id, eqn, vector->vector,
	       umem->umem_id);
	fflush(stdout);

	errors = served(context);

	need(!mlx5dv_devx_destroy_eq(eq), "mlx5dv_devx_destroy_eq");
	need(!mlx5dv_devx_free_msi_vector(vector), "mlx5dv_devx_free_msi_vector");
	need(!mlx5dv_devx_umem_dereg(umem), "mlx5dv_devx_umem_dereg");
	mlx5dv_devx_free_uar(uar);
	need(!ibv_dereg_mr(mr), "ibv_dereg_mr");
	need(!ibv_dealloc_pd(pd), "ibv_dealloc_pd");
	need(!ibv_close_device(context), "ibv_close_device");
	printf("{\"errors\": %d}\n", errors);
	return 0;
}
