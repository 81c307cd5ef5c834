// SPDX-License-Identifier: MIT
#include "metrics.h"
#include "conn.h"
#include "function.h"
#include "log.h"
#include "resident.h"
#include "text.h"
#include "zygote.h"

#include <unistd.h>

/* Upper bounds in microseconds. */
static const int64_t bounds_us[LATENCY_BUCKETS] = {
    10,    25,    50,     100,    250,    500,     1000,    2500,    5000,     10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000};

const char *outcome_name(enum outcome outcome) {
  static const char *const names[OUTCOMES] = {"ok",        "handler_error", "timeout",  "crash",
                                              "throttled", "no_zygote",     "cancelled"};
  return names[outcome];
}

void metrics_latency(struct function_metrics *m, int64_t ns) {
  int i = 0;
  while (i < LATENCY_BUCKETS && ns > bounds_us[i] * 1000)
    i++;
  m->buckets[i]++;
  m->latency_ns += (uint64_t)ns;
}

static void head(struct buffer *out, const char *name, const char *type, const char *help) {
  buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buffer *out, const char *name, const char *type, const char *help,
                   uint64_t value) {
  head(out, name, type, help);
  buffer_format(out, "%s %llu\n", name, (unsigned long long)value);
}

/* One line of a metric for each function; `value` reads it. */
static void each(struct buffer *out, const char *name, const char *type, const char *help,
                 uint64_t (*value)(const struct function *f)) {
  head(out, name, type, help);
  for (const struct function *f = functions; f; f = f->next)
    buffer_format(out, "%s{function=\"%s\"} %llu\n", name, f->config->name,
                  (unsigned long long)value(f));
}

static uint64_t queued(const struct function *f) { return f->queued; }
static uint64_t running(const struct function *f) { return f->running; }
static uint64_t ready(const struct function *f) { return f->current != NULL; }
static uint64_t starts(const struct function *f) { return f->metrics.zygote_starts; }
static uint64_t failures(const struct function *f) { return f->metrics.zygote_failures; }
static uint64_t deploys(const struct function *f) { return f->metrics.deploys; }
static uint64_t lines(const struct function *f) { return f->metrics.log_lines; }
static uint64_t worker_rss(const struct function *f) { return f->metrics.max_rss; }

static uint64_t zygote_rss(const struct function *f) {
  uint64_t sum = 0;
  for (const struct zygote *z = zygotes; z; z = z->next)
    if (z->function == f)
      sum += resident_bytes(z->pid);
  return sum;
}

static void write_outcomes(struct buffer *out) {
  head(out, "ufaas_requests_total", "counter", "Requests by the way they ended.");
  for (const struct function *f = functions; f; f = f->next)
    for (int i = 0; i < OUTCOMES; i++)
      buffer_format(out, "ufaas_requests_total{function=\"%s\",outcome=\"%s\"} %llu\n",
                    f->config->name, outcome_name(i), (unsigned long long)f->metrics.outcomes[i]);
}

static void write_latency(struct buffer *out) {
  static const char name[] = "ufaas_request_duration_seconds";
  head(out, name, "histogram", "From the arrival of a request to its answer.");
  for (const struct function *f = functions; f; f = f->next) {
    unsigned long long sum = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
      sum += f->metrics.buckets[i];
      buffer_format(out, "%s_bucket{function=\"%s\",le=\"%g\"} %llu\n", name, f->config->name,
                    (double)bounds_us[i] / 1e6, sum);
    }
    sum += f->metrics.buckets[LATENCY_BUCKETS];
    buffer_format(out, "%s_bucket{function=\"%s\",le=\"+Inf\"} %llu\n", name, f->config->name, sum);
    buffer_format(out, "%s_sum{function=\"%s\"} %.6f\n%s_count{function=\"%s\"} %llu\n", name,
                  f->config->name, (double)f->metrics.latency_ns / 1e9, name, f->config->name, sum);
  }
}

void metrics_write(struct buffer *out) {
  const struct conn_counts *s = &conn_counts;
  write_outcomes(out);
  write_latency(out);
  each(out, "ufaas_queue_length", "gauge", "Requests that wait for a worker.", queued);
  each(out, "ufaas_workers", "gauge", "Workers that run.", running);
  each(out, "ufaas_zygote_ready", "gauge", "Whether a warm zygote serves.", ready);
  each(out, "ufaas_zygote_starts_total", "counter", "Zygotes started.", starts);
  each(out, "ufaas_zygote_failures_total", "counter", "Zygotes that died unasked.", failures);
  each(out, "ufaas_deploys_total", "counter", "Deployments.", deploys);
  each(out, "ufaas_log_lines_total", "counter", "Lines that functions printed.", lines);
  each(out, "ufaas_zygote_resident_bytes", "gauge", "Resident memory of zygotes.", zygote_rss);
  each(out, "ufaas_worker_max_resident_bytes", "gauge", "Largest worker so far.", worker_rss);
  number(out, "ufaas_connections", "gauge", "Open connections.", s->open);
  number(out, "ufaas_connections_total", "counter", "Connections accepted.", s->accepted);
  number(out, "ufaas_http_requests_total", "counter", "Requests read.", s->requests);
  number(out, "ufaas_http_refused_total", "counter", "Malformed or too large.", s->refused);
  number(out, "ufaas_log_lines_lost_total", "counter", "Lost to a slow reader.", log_lost());
  number(out, "process_resident_memory_bytes", "gauge", "Resident memory of the server.",
         resident_bytes(getpid()));
}
