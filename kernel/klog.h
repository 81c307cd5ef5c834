/* SPDX-License-Identifier: MIT */
/* A line for the person who runs the instance: "ufork: " + text + newline, at most KLOG_MAX bytes,
   to the platform's log. Any context. */
#ifndef UFORK_KERNEL_KLOG_H
#define UFORK_KERNEL_KLOG_H

#define KLOG_MAX 512

void klog(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
