/* SPDX-License-Identifier: MIT */
#ifndef UFORK_KERNEL_VERSION_H
#define UFORK_KERNEL_VERSION_H

#define UFORK_VERSION "0.1"
/* The release that uname reports: the Linux whose system-call ABI programs may expect. */
#define UFORK_UTS_RELEASE "6.1.0-ufork"

#endif
