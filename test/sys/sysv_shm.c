/* SPDX-License-Identifier: MIT */
/* System V shared memory: same place after fork, counts, removal, keys, permissions, exec and exit.
 */
#include "check.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define SIZE 10000

static struct shmid_ds stat_of(int id) {
  struct shmid_ds s;
  OK(shmctl(id, IPC_STAT, &s));
  return s;
}

static void across_fork(void) {
  int id = OK(shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600));
  struct shmid_ds s = stat_of(id);
  EXPECT(s.shm_segsz, SIZE);
  EXPECT(s.shm_nattch, 0);
  EXPECT(s.shm_cpid, getpid());
  EXPECT(s.shm_perm.mode & 0777, 0600);
  int *p = shmat(id, NULL, 0);
  CHECK(p != (void *)-1);
  EXPECT(p[0], 0);
  p[0] = 41;
  EXPECT(stat_of(id).shm_nattch, 1);
  IN_CHILD {
    EXPECT(stat_of(id).shm_nattch, 2);
    EXPECT(p[0], 41);
    p[0] = 42;
    int *q = shmat(id, NULL, SHM_RDONLY);
    CHECK(q != (void *)-1 && q != p);
    EXPECT(q[0], 42);
    EXPECT(stat_of(id).shm_nattch, 3);
    OK(shmdt(q));
    pid_t pid = OK(fork());
    if (pid == 0)
      *(volatile int *)q; /* not there any more */
    EXPECT_SIGNAL(pid, SIGSEGV);
  }
  END_CHILD(0);
  EXPECT(p[0], 42);
  s = stat_of(id);
  EXPECT(s.shm_nattch, 1);
  CHECK(s.shm_lpid != getpid());
  OK(shmdt(p));
  FAILS(shmdt(p), EINVAL);
  EXPECT(stat_of(id).shm_nattch, 0);
  p = shmat(id, NULL, 0);
  EXPECT(p[0], 42); /* kept meanwhile */
  OK(shmctl(id, IPC_RMID, NULL));
  p[1] = 7; /* until the last one leaves */
  EXPECT(stat_of(id).shm_nattch, 1);
  IN_CHILD { EXPECT(p[1], 7); }
  END_CHILD(0);
  OK(shmdt(p));
  struct shmid_ds gone;
  FAILS(shmctl(id, IPC_STAT, &gone), EINVAL);
  CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EINVAL);
}

static void read_only(void) {
  int id = OK(shmget(IPC_PRIVATE, 4096, 0600));
  char *p = shmat(id, NULL, SHM_RDONLY);
  FAILS(mprotect(p, 4096, PROT_READ | PROT_WRITE), EACCES);
  pid_t pid = OK(fork());
  if (pid == 0)
    p[0] = 1;
  EXPECT_SIGNAL(pid, SIGSEGV);
  OK(munmap(p, 4096)); /* counts as shmdt */
  EXPECT(stat_of(id).shm_nattch, 0);
  OK(shmctl(id, IPC_RMID, NULL));
}

static void places(void) {
  int id = OK(shmget(IPC_PRIVATE, 8192, 0600));
  char *hole = OK((char *)mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(shmat(id, hole, 0) == (void *)-1 && errno == EINVAL); /* something is there */
  CHECK(shmat(id, hole, SHM_REMAP) == hole);
  hole[0] = 'x';
  OK(munmap(hole, 65536));
  EXPECT(stat_of(id).shm_nattch, 0);
  CHECK(shmat(id, hole + 5, 0) == (void *)-1 && errno == EINVAL);
  CHECK(shmat(id, hole + 5, SHM_RND) == hole);
  EXPECT(hole[0], 'x');
  EXPECT(stat_of(id).shm_nattch, 1);
  OK(munmap(hole, 4096)); /* half of it */
  EXPECT(stat_of(id).shm_nattch, 1);
  OK(shmdt(hole));
  EXPECT(stat_of(id).shm_nattch, 0);
  CHECK(shmat(id, NULL, SHM_REMAP) == (void *)-1 && errno == EINVAL);
  OK(shmctl(id, IPC_RMID, NULL));
}

static void keys(void) {
  key_t key = 0x75460000 + getpid();
  FAILS(shmget(key, 100, 0), ENOENT);
  int id = OK(shmget(key, 100, IPC_CREAT | 0640));
  EXPECT(shmget(key, 50, 0), id);
  EXPECT(shmget(key, 100, IPC_CREAT), id);
  FAILS(shmget(key, 100, IPC_CREAT | IPC_EXCL), EEXIST);
  FAILS(shmget(key, 101, 0), EINVAL);
  FAILS(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
  FAILS(shmctl(id, 99, NULL), EINVAL);
  FAILS(shmctl(id, IPC_STAT, (void *)16), EFAULT);
  FAILS(shmctl(-1, IPC_STAT, NULL), EINVAL);
  if (getuid() == 0)
    IN_CHILD {
      OK(setgid(1234));
      OK(setuid(1234));
      FAILS(shmget(key, 100, 0600), EACCES);
      CHECK(shmat(id, NULL, SHM_RDONLY) == (void *)-1 && errno == EACCES);
      FAILS(shmctl(id, IPC_RMID, NULL), EPERM);
      struct shmid_ds s;
      FAILS(shmctl(id, IPC_STAT, &s), EACCES);
    }
  END_CHILD(0);
  struct shmid_ds s = stat_of(id);
  s.shm_perm.mode = 0604;
  OK(shmctl(id, IPC_SET, &s));
  EXPECT(stat_of(id).shm_perm.mode & 0777, 0604);
  if (getuid() == 0)
    IN_CHILD {
      OK(setgid(1234));
      OK(setuid(1234));
      CHECK(shmat(id, NULL, SHM_RDONLY) != (void *)-1);
      CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EACCES);
    }
  END_CHILD(0);
  OK(shmctl(id, IPC_RMID, NULL));
  FAILS(shmget(key, 100, 0), ENOENT);
}

/* Exit and exec detach; many segments come and go. */
static void no_leak(void) {
  struct shm_info before, after;
  OK(shmctl(0, SHM_INFO, (void *)&before));
  for (int k = 0; k < 200; k++) {
    int id = OK(shmget(IPC_PRIVATE, 1 << 20, 0600));
    IN_CHILD {
      char *p = shmat(id, NULL, 0);
      CHECK(p != (void *)-1);
      memset(p, k, 4096);
      if (k % 2)
        OK(execl("/proc/self/exe", "sysv_shm", "stop", (char *)NULL));
    }
    END_CHILD(0);
    EXPECT(stat_of(id).shm_nattch, 0);
    OK(shmctl(id, IPC_RMID, NULL));
  }
  OK(shmctl(0, SHM_INFO, (void *)&after));
  EXPECT(after.used_ids, before.used_ids);
  char line[400];
  FILE *f = fopen("/proc/sysvipc/shm", "r");
  CHECK(f && fgets(line, sizeof line, f) && strstr(line, "shmid"));
  fclose(f);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1)
    return 0;
  unshare(CLONE_NEWIPC); /* nobody else's are counted then, where it is allowed */
  across_fork();
  read_only();
  places();
  keys();
  no_leak();
  return done();
}
