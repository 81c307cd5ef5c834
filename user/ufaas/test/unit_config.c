// SPDX-License-Identifier: MIT
#include "../config.h"
#include "../log.h"
#include "unit.h"

#include <arpa/inet.h>
#include <string.h>

/* What is refused, in which line, and a part of the reason. */
static const struct {
  const char *text;
  int line;
  const char *reason;
} bad[] = {
    {"", 0, "no function"},
    {"# nothing\n", 0, "no function"},
    {"[server]\n", 0, "no function"},
    {"[function.f]\nbootstrap = \"b\"\ncommand = [\"c\"]\n", 1, "a bootstrap and a command"},
    {"[function.f]\nbootstrap = \"b\"\nwarmup = \"{}\"\n", 1, "no warmup"},
    {"[function.f]\nbootstrap = \"b\"\nidle_ms = 0\n", 3, "between"},
    {"listen = \"1.2.3.4:5\"\n", 1, "before the first"},
    {"[server\n", 1, "']'"},
    {"[]\n", 1, "key is missing"},
    {"[[function]]\n", 1, "arrays of tables"},
    {"[sever]\n", 1, "unknown table"},
    {"[server] x\n", 1, "unexpected text"},
    {"[server]\n[server]\n", 2, "given twice"},
    {"[server]\nlisten\n", 2, "'='"},
    {"[server]\nlisten =\n", 2, "value is missing"},
    {"[server]\nlisten = 1.2.3.4:80\n", 2, "malformed number"},
    {"[server]\nlisten = localhost\n", 2, "need quotes"},
    {"[server]\nlisten = \"localhost:80\"\n", 2, "ADDRESS:PORT"},
    {"[server]\nlisten = \"1.2.3.4\"\n", 2, "ADDRESS:PORT"},
    {"[server]\nlisten = \"1.2.3.4:\"\n", 2, "ADDRESS:PORT"},
    {"[server]\nlisten = \"1.2.3.4:65536\"\n", 2, "ADDRESS:PORT"},
    {"[server]\nlisten = \"1.2.3.4:-1\"\n", 2, "ADDRESS:PORT"},
    {"[server]\nlisten = \"::1:80\"\n", 2, "ADDRESS:PORT"},
    {"[server]\nlisten = \"1.2.3.4:80\n", 2, "does not end"},
    {"[server]\nlisten = \"\"\"a\"\"\"\n", 2, "several lines"},
    {"[server]\nlog = \"a\\q\"\n", 2, "escape"},
    {"[server]\nlog = \"a\\u00g0\"\n", 2, "hexadecimal"},
    {"[server]\nlog = \"a\\ud800\"\n", 2, "no such character"},
    {"[server]\nlog = \"a\\u0000\"\n", 2, "no such character"},
    {"[server]\nlog = \"a\x01\"\n", 2, "control character"},
    {"[server]\nlog = \"\"\n", 2, "is empty"},
    {"[server]\nlog = 7\n", 2, "must be a string"},
    {"[server]\nlog_level = \"loud\"\n", 2, "one of"},
    {"[server]\nnonsense = 7\n", 2, "unknown key"},
    {"[server]\nidle_ms = \"7\"\n", 2, "must be an integer"},
    {"[server]\nidle_ms = 0\n", 2, "between"},
    {"[server]\nidle_ms = 99999999999999999999\n", 2, "too large"},
    {"[server]\nidle_ms = 0x10\n", 2, "malformed"},
    {"[server]\nidle_ms = 007\n", 2, "malformed"},
    {"[server]\nidle_ms = 1.5\n", 2, "malformed"},
    {"[server]\nidle_ms = 1_\n", 2, "malformed"},
    {"[server]\nidle_ms = -\n", 2, "malformed"},
    {"[server]\nidle_ms = 100 100\n", 2, "unexpected text"},
    {"[server]\nidle_ms = 100\nidle_ms = 100\n", 3, "given twice"},
    {"[server]\na.b = 1\n", 2, "dotted"},
    {"[function]\n", 1, "unknown table"},
    {"[function.\"a b\"]\n", 1, "no name of a function"},
    {"[function."
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
     1, "no name of a function"},
    {"[function.a.b]\n", 1, "no name of a function"},
    {"[function.f]\n", 1, "neither runtime nor command"},
    {"\n[function.f]\nruntime = \"perl\"\n", 3, "not known"},
    {"[function.f]\nruntime = \"python3\"\n", 2, "handler"},
    {"[function.f]\nruntime = \"python3\"\nhandler = \"a.b\"\n", 2, "path"},
    {"[function.f]\nruntime = \"python3\"\ncommand = [\"/x\"]\n", 2, "runtime and a command"},
    {"[function.f]\ncommand = []\n", 2, "is empty"},
    {"[function.f]\ncommand = \"/x\"\n", 2, "array of strings"},
    {"[function.f]\ncommand = [\"/x\", 1]\n", 2, "string is expected"},
    {"[function.f]\ncommand = [\"/x\" \"y\"]\n", 2, "','"},
    {"[function.f]\ncommand = [\"/x\"\n", 3, "','"},
    {"[function.f]\ncommand = [\"/x\"]\ngid = 5\n", 1, "no uid"},
    {"[function.f]\ncommand = [\"/x\"]\nwarmup = \"{\"\n", 1, "not JSON"},
    {"[function.f]\ncommand = [\"/x\"]\nenvironment = {A = 1}\n", 3, "string is expected"},
    {"[function.f]\ncommand = [\"/x\"]\nenvironment = {A = \"1\", A = \"2\"}\n", 3, "given twice"},
    {"[function.f]\ncommand = [\"/x\"]\nenvironment = {\"A=B\" = \"1\"}\n", 3, "variable"},
    {"[function.f]\ncommand = [\"/x\"]\nenvironment = {A = \"1\"\n", 3, "','"},
    {"[function.f]\ncommand = [\"/x\"]\n[function.f.environment]\nA = 1\n", 4, "must be a string"},
    {"[function.f]\ncommand = [\"/x\"]\nenvironment = {A = \"1\"}\n[function.f.environment]\n", 4,
     "given twice"},
    {"[function.g.environment]\nA = \"1\"\n", 1, "without"},
    {"[function.f]\ncommand = [\"/x\"]\nuid = -1\n", 3, "between"},
    {"[function.f]\ncommand = [\"/x\"]\nconcurrency = 0\n", 3, "between"},
    {"[function.f]\ncommand = [\"/x\"]\nmemory_mb = true\n", 3, "must be an integer"},
};

static void test_refused(void) {
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct config_error error;
    struct config *c = config_parse(bad[i].text, strlen(bad[i].text), "/base", NULL, &error);
    check(!c, "accepted:\n%s", bad[i].text);
    check(error.line == bad[i].line && strstr(error.text, bad[i].reason),
          "line %d (wanted %d): %s (wanted: %s) for:\n%s", error.line, bad[i].line, error.text,
          bad[i].reason, bad[i].text);
  }
  struct config_error error;
  check(!config_parse("[server]\nlog = \"a\0b\"\n", 22, "/base", NULL, &error), "NUL accepted");
  check(!config_read("/no/such/file", NULL, &error) && error.line == 0 && *error.text,
        "no such file");
  check(!config_read("/", NULL, &error) && *error.text, "a directory");
}

static const char all[] = "# everything\r\n"
                          "[server]\n"
                          "listen = \"[::1]:8000\" # a comment\n"
                          "admin = '127.0.0.1:0'\n"
                          "log_level = \"warn\"\n"
                          "idle_ms = 1_000\n"
                          "first_uid = 5000\n"
                          "\"python\" = \"/py\\u00e4\"\n"
                          "\n"
                          "[function.one]\n"
                          "runtime = \"python3\"\n"
                          "handler = \"app.main\"\n"
                          "path = '/code'\n"
                          "warmup = '{\"a\": 1}'\n"
                          "environment = { A = \"1\", \"B\" = '2' }\n"
                          "timeout_ms = 500\n"
                          "concurrency = 2\n"
                          "queue = 0\n"
                          "[ function . two-2 ]\n"
                          "command = [\n  \"bin/x\", # first\n  'y z',\n]\n"
                          "uid = 0\n"
                          "[function.two-2.environment]\n"
                          "PATH = \"/x\"";

static void test_accepted(void) {
  static const struct config_override overrides[] = {{"tmp", "/elsewhere"}, {NULL, NULL}};
  struct config_error error;
  struct config *c = config_parse(all, sizeof all - 1, "/base", overrides, &error);
  check(c, "line %d: %s", error.line, error.text);
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&c->listen.socket;
  check(in6->sin6_family == AF_INET6 && ntohs(in6->sin6_port) == 8000, "listen");
  check(c->admin.size == sizeof(struct sockaddr_in), "admin");
  check(c->log_level == LOG_WARN && c->idle_ms == 1000, "numbers");
  check(c->function_count == 2, "%zu", c->function_count);
  const struct function_config *f = c->functions[0], *g = c->functions[1];
  check(strcmp(f->command[0], "/py\xc3\xa4") == 0 && !f->command[2], "python's command");
  check(strcmp(f->handler, "app.main") == 0 && strcmp(f->warmup, "{\"a\": 1}") == 0, "strings");
  check(strcmp(f->environment[0], "A=1") == 0 && strcmp(f->environment[1], "B=2") == 0 &&
            !f->environment[2],
        "environment");
  check(f->timeout_ms == 500 && f->concurrency == 2 && f->queue == 0, "limits");
  check(f->memory_mb == 128 && f->max_body == 6 << 20 && f->own_uid, "defaults");
  check(strcmp(g->name, "two-2") == 0 && strcmp(g->command[1], "y z") == 0, "the second");
  check(strcmp(g->command[0], "/base/bin/x") == 0, "%s", g->command[0]);
  check(strcmp(c->tmp, "/elsewhere") == 0, "%s", c->tmp);
  check(!g->own_uid && g->uid == 0 && g->gid == 0, "ids: %u %u", g->uid, g->gid);
  check(strcmp(g->environment[0], "PATH=/x") == 0 && !g->environment[1], "its environment");
  config_free(c);
  static const struct config_override nonsense[] = {{"admin", "x"}, {NULL, NULL}};
  check(!config_parse(all, sizeof all - 1, "/base", nonsense, &error) && error.line == 0 &&
            strstr(error.text, "ADDRESS:PORT"),
        "an override");
}

void test_config(void) {
  test_refused();
  test_accepted();
}
