/*
 * A library to preload: the ranges of I/O addresses that VFIO reports begin above 0.
 *
 * rdma-core takes its first I/O address from the first range, which begins at 0 on most machines; firmware takes no
 * page at address 0.
 */
#define _GNU_SOURCE
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* one block of rdma-core's memory, so that blocks stay aligned to their size */
#define LOWEST (2ULL << 20)

static void raise_ranges(struct vfio_iommu_type1_info *info)
{
	uint32_t at = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	while (at && at < info->argsz) {
		struct vfio_info_cap_header *header = (void *)((char *)info + at);
		struct vfio_iommu_type1_info_cap_iova_range *ranges = (void *)header;

		if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			for (uint32_t i = 0; i < ranges->nr_iovas; i++)
				if (ranges->iova_ranges[i].start < LOWEST)
					ranges->iova_ranges[i].start = LOWEST;
		at = header->next;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	uint32_t room = 0;
	va_list rest;
	void *value;
	long done;

	va_start(rest, request);
	value = va_arg(rest, void *);
	va_end(rest);
	if (request == VFIO_IOMMU_GET_INFO)
		room = ((struct vfio_iommu_type1_info *)value)->argsz;
	done = syscall(SYS_ioctl, fd, request, value);
	/* a caller with too little room asks again: the capabilities are not there yet */
	if (!done && request == VFIO_IOMMU_GET_INFO && room >= ((struct vfio_iommu_type1_info *)value)->argsz)
		raise_ranges(value);
	return (int)done;
}
