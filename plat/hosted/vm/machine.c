/* SPDX-License-Identifier: MIT */
#include "plat/hosted/vm/vm.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QEMU "qemu-system-x86_64"
#define DEFAULT_MEMORY ((uint64_t)512 << 20)
#define KERNEL_MEMORY ((uint64_t)24 << 20)
#define PROBE_MS 1500 /* a boot and a spin loop where KVM works take a tenth of that */
#define ARGS_MAX 256

static char *args[ARGS_MAX + 1];
static unsigned n_args;

static void arg(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void arg(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  if (n_args == ARGS_MAX || vasprintf(&args[n_args++], format, ap) < 0)
    vm_die("too many options");
  va_end(ap);
}

/* What every machine here has. */
static void basic_args(void) {
  n_args = 0;
  arg(QEMU);
  arg("-M"), arg("microvm");
  arg("-global"), arg("virtio-mmio.force-legacy=false");
  arg("-nodefaults"), arg("-no-user-config"), arg("-no-reboot"), arg("-display"), arg("none");
  arg("-device"), arg("isa-debug-exit,iobase=0x501,iosize=4");
  arg("-kernel"), arg("%s", vm_kernel());
}

/* QEMU as a child with the given standard streams. */
static pid_t start(int in, int out) {
  args[n_args] = NULL;
  pid_t parent = getpid(), pid = fork();
  if (pid != 0)
    return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody else would end it */
  if (getppid() != parent)
    _exit(127);
  dup2(in, 0);
  dup2(out, 1);
  setpgid(0, 0); /* the terminal's signals are ours */
  execvp(args[0], args);
  fprintf(stderr, "ufork: %s: %s (it comes with the package qemu-system-x86)\n", args[0],
          strerror(errno));
  _exit(127);
}

/* ---- accelerator
 * ------------------------------------------------------------------------------------ */

/* Waits for pid; false if it takes too long. */
static bool ends_in_time(pid_t pid, int ms, int *status) {
  for (; ms > 0; ms -= 10) {
    if (waitpid(pid, status, WNOHANG) == pid)
      return true;
    poll(NULL, 0, 10);
  }
  kill(pid, SIGKILL);
  waitpid(pid, status, 0);
  return false;
}

/* /dev/kvm may exist and yet run 64-bit kernels in slow emulation: our kernel boots, spins and says
   that it did, soon. */
static bool kvm_works(void) {
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC),
      status;
  if (kvm < 0 || null < 0)
    return false;
  close(kvm);
  basic_args();
  arg("-accel"), arg("kvm"), arg("-cpu"), arg("host"), arg("-m"), arg("64");
  arg("-serial"), arg("null"), arg("-append"), arg("probe");
  int err = dup(2);
  dup2(null, 2);
  pid_t pid = start(null, null);
  dup2(err, 2);
  close(err);
  return pid > 0 && ends_in_time(pid, PROBE_MS, &status) && WIFEXITED(status) &&
         WEXITSTATUS(status) == 1;
}

static void accelerator(void) {
  const char *wish = getenv("UFORK_VM_ACCEL");
  bool kvm = wish ? strcmp(wish, "kvm") == 0 : kvm_works();
  basic_args();
  if (kvm)
    arg("-accel"), arg("kvm"), arg("-cpu"), arg("host");
  else
    arg("-accel"), arg("tcg,thread=multi"), arg("-cpu"), arg("max,erms=off");
}

/* ---- devices
 * ---------------------------------------------------------------------------------------- */

static void network(const struct options *o) {
  char net[1024] = "user,id=net";
  for (unsigned i = 0; i < o->n_ports; i++) {
    size_t n = strlen(net);
    snprintf(net + n, sizeof net - n, ",hostfwd=tcp:127.0.0.1:%u-:%u", o->ports[i].host,
             o->ports[i].guest);
  }
  arg("-netdev"), arg("%s", net);
  arg("-device"), arg("virtio-net-device,netdev=net");
}

static void directories(const struct boot_args *b) {
  for (unsigned i = 0; i < b->n_mounts; i++) {
    arg("-fsdev"), arg("local,id=dir%u,path=%s,security_model=none%s", i, b->mounts[i].host,
                       b->mounts[i].read_only ? ",readonly=on" : "");
    arg("-device"), arg("virtio-9p-device,fsdev=dir%u,mount_tag=dir%u", i, i);
  }
}

/* A file without a name that QEMU can open; *size is its. */
static const char *initramfs(const struct options *o, uint64_t *size) {
  static char path[64];
  FILE *f = tmpfile();
  if (!f)
    vm_die("temporary file: %s", strerror(errno));
  archive_write(f, o->boot.root, o->boot.program_is_host ? o->boot.program : NULL,
                vm_guest_program(o));
  *size = (uint64_t)ftell(f);
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fileno(f));
  return path;
}

_Noreturn void vm_run(const struct options *o) {
  int in[2], out[2], status = 0;
  uint64_t memory = o->boot.memory_limit ? o->boot.memory_limit : DEFAULT_MEMORY;
  uint64_t archive;
  const char *root = initramfs(o, &archive);
  /* for a moment there are the archive and the files from it */
  if (memory < KERNEL_MEMORY + 2 * archive)
    vm_die("--memory: a machine with this root file system needs at least %lluM",
           (unsigned long long)((KERNEL_MEMORY + 2 * archive) >> 20) + 1);
  accelerator();
  arg("-m"), arg("%lluM", (unsigned long long)(memory >> 20));
  arg("-smp"), arg("%u", options_cpus(o));
  arg("-serial"), arg("stdio");
  arg("-initrd"), arg("%s", root);
  arg("-append"), arg("%s", vm_cmdline(o, console_words()));
  arg("-device"), arg("virtio-rng-device");
  network(o);
  directories(&o->boot);
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
    vm_die("pipe: %s", strerror(errno));
  pid_t pid = start(in[0], out[1]);
  if (pid < 0)
    vm_die("fork: %s", strerror(errno));
  close(in[0]);
  close(out[1]);
  int told = console_relay(in[1], out[0], pid);
  waitpid(pid, &status, 0);
  if (told < 0)
    vm_die("the virtual machine ended without saying why");
  exit(told);
}
