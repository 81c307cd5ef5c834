// SPDX-License-Identifier: MIT
/*
 * What ufaas, its zygotes and their workers say to each other. Plain POSIX: the same on uFork and
 * on Linux.
 *
 * ufaas starts one zygote per function as a child: the runtime's command, with the control socket
 * at descriptor UFAAS_CONTROL_FD. The zygote warms up (interpreter, imports, warm-up call), says
 * READY, and then waits for orders. It forks a worker for each INVOKE; the worker has one
 * conversation, answers, and exits. The zygote is the parent of its workers: it alone waits for
 * them and it alone kills them, so that an id of a process is never used after its reuse.
 *
 * Control socket (Unix, SOCK_SEQPACKET, one message per order or note, sizes exactly as below, host
 * byte order; two notes may come in one message): ufaas -> zygote  struct ufaas_order. INVOKE
 * carries two descriptors (SCM_RIGHTS): the worker's end of the conversation, and the write end of
 * a pipe that becomes the worker's standard output and error. zygote -> ufaas  struct ufaas_note.
 * The end of the control socket is the end of the zygote: it kills its workers and exits.
 *
 * Conversation (Unix, SOCK_STREAM, one per request):
 *   ufaas -> worker  struct ufaas_part, then header_size bytes of header, then body_size bytes of
 * body; then shut down for writing worker -> ufaas  the same, once; then closed. A header is lines
 * "Name: value\n", names as in HTTP. Those of AWS Lambda's runtime interface are there
 * (Lambda-Runtime-Aws-Request-Id, Lambda-Runtime-Deadline-Ms in milliseconds since 1970,
 * Lambda-Runtime-Invoked-Function-Arn, Lambda-Runtime-Trace-Id if the client sent X-Amzn-Trace-Id)
 * and the client's Content-Type. An answer may say Content-Type (default application/json). A
 * conversation that ends before a whole answer came is a crash of the worker; the wait status in
 * ENDED says which.
 */
#ifndef UFAAS_PROTOCOL_H
#define UFAAS_PROTOCOL_H

#include <stdint.h>

#define UFAAS_CONTROL_FD 3

enum ufaas_order_kind {
  UFAAS_INVOKE = 1, /* fork a worker for `id`; two descriptors come along */
  UFAAS_KILL = 2,   /* SIGKILL to the worker of `id` if it has not been waited for */
  UFAAS_DRAIN = 3,  /* exit as soon as no worker is left; no INVOKE follows */
};

struct ufaas_order {
  uint32_t kind;
  uint32_t reserved; /* 0 */
  uint64_t id;       /* of the request; unique while ufaas lives */
};

enum ufaas_note_kind {
  UFAAS_READY = 1,   /* warm; `value` 0 */
  UFAAS_STARTED = 2, /* worker of `id` runs; `value`: its process id, for logs */
  UFAAS_ENDED = 3,   /* worker of `id` was waited for; `value` is the wait status */
  UFAAS_FAILED = 4,  /* no worker for `id`; `value`: why, an errno, as a rule of fork */
};

struct ufaas_note {
  uint32_t kind;
  int32_t value;
  uint64_t id;
  /* ENDED: bytes, ru_maxrss of the worker. STARTED: when its time has begun, nanoseconds of
   * CLOCK_MONOTONIC; 0: with INVOKE. Else 0. */
  uint64_t figure;
};

enum ufaas_part_kind {
  UFAAS_REQUEST = 1,
  UFAAS_RESPONSE = 2, /* body: what the handler returned, JSON unless Content-Type says otherwise */
  UFAAS_ERROR =
      3, /* body: Lambda's error object {"errorMessage","errorType","requestId","stackTrace"} */
};

struct ufaas_part {
  uint32_t kind;
  uint32_t header_size; /* bytes, at most 64 KiB */
  uint64_t
      body_size; /* bytes, at most 6 MiB, Lambda's limit, unless the configuration says otherwise */
};

#endif
