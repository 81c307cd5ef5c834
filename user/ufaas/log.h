// SPDX-License-Identifier: MIT
/* The log: one JSON object a line, {"time","level","function","requestId","message",...}. */
#ifndef UFAAS_LOG_H
#define UFAAS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* "stderr" or a file, which is appended to. 0 or -errno; the log stays where it was then. */
int log_open(const char *where);
void log_set_level(enum log_level level);
enum log_level log_level_of(void);

/* A line of the server's own, about a function unless that is NULL. */
void log_server(enum log_level level, const char *function, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A line that a function wrote; request_id NULL: its zygote did. */
void log_output(const char *function, const char *request_id, const char *text, size_t size);

/* How a request ended: a line of level INFO with "type":"report". */
void log_report(const char *function, const char *request_id, const char *outcome, int status,
                int64_t duration_ns, int64_t queued_ns, uint64_t max_rss, int32_t worker);

/* Writes out what has been collected. false: the reader is slow, call it again later; lines that do
 * not fit meanwhile are lost and counted. */
bool log_flush(void);
uint64_t log_lost(void);

#endif
