// SPDX-License-Identifier: MIT
/* What is counted, and how it is shown to Prometheus. */
#ifndef UFAAS_METRICS_H
#define UFAAS_METRICS_H

#include <stdint.h>

struct buffer;

/* How a request ended. */
enum outcome {
  OUTCOME_OK,
  OUTCOME_HANDLER, /* the handler raised an error */
  OUTCOME_TIMEOUT,
  OUTCOME_CRASH,     /* the worker died without an answer, or answered nonsense */
  OUTCOME_FULL,      /* refused: concurrency and queue were full */
  OUTCOME_NO_ZYGOTE, /* there was none, or it died */
  OUTCOME_CANCELLED, /* the client went away while it was queued */
  OUTCOMES
};

/* "ok", "handler_error"... */
const char *outcome_name(enum outcome outcome);

#define LATENCY_BUCKETS 20

/* Per function; all zero at the start. */
struct function_metrics {
  uint64_t outcomes[OUTCOMES];
  uint64_t buckets[LATENCY_BUCKETS + 1]; /* of the time from arrival to answer */
  uint64_t latency_ns;
  uint64_t zygote_starts, zygote_failures, deploys;
  uint64_t log_lines;
  uint64_t max_rss; /* of the largest worker so far */
};

void metrics_latency(struct function_metrics *m, int64_t ns);

/* Appends the text form of everything. */
void metrics_write(struct buffer *out);

#endif
