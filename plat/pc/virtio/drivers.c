/* SPDX-License-Identifier: MIT */
#include "plat/pc/virtio/virtio.h"

const struct virtio_driver *const virtio_drivers[] = {
    &virtio_rng, &virtio_blk, &virtio_console, &virtio_net, &virtio_9p, NULL,
};
