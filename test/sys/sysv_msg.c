/* SPDX-License-Identifier: MIT */
/* System V message queues: types, order, limits, waiting, removal, permissions. */
#include "check.h"
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>

struct message {
  long type;
  char text[8192];
};

static int send(int id, long type, const char *text, int flags) {
  struct message m = {.type = type};
  strcpy(m.text, text);
  return msgsnd(id, &m, strlen(text), flags);
}

static void receive(int id, long type, int flags, const char *want, long want_type) {
  struct message m;
  ssize_t n = OK(msgrcv(id, &m, sizeof m.text, type, flags | IPC_NOWAIT));
  EXPECT(n, strlen(want));
  CHECK(!memcmp(m.text, want, (size_t)n));
  EXPECT(m.type, want_type);
}

static struct msqid_ds stat_of(int id) {
  struct msqid_ds s;
  OK(msgctl(id, IPC_STAT, &s));
  return s;
}

static void types(void) {
  struct message m;
  int id = OK(msgget(IPC_PRIVATE, 0600));
  OK(send(id, 5, "five", 0));
  OK(send(id, 3, "three", 0));
  OK(send(id, 9, "nine", 0));
  OK(send(id, 3, "three again", 0));
  OK(send(id, 1, "", 0));
  EXPECT(stat_of(id).msg_qnum, 5);
  EXPECT(stat_of(id).msg_cbytes, 24);
  EXPECT(stat_of(id).msg_lspid, getpid());
  receive(id, 9, 0, "nine", 9);
  receive(id, -4, 0, "", 1);
  receive(id, -4, 0, "three", 3);
  receive(id, 5, MSG_EXCEPT, "three again", 3);
  FAILS(msgrcv(id, &m, 100, 3, IPC_NOWAIT), ENOMSG);
  FAILS(msgrcv(id, &m, 2, 0, 0), E2BIG);
  EXPECT(msgrcv(id, &m, 2, 0, MSG_NOERROR), 2);
  CHECK(!memcmp(m.text, "fi", 2));
  EXPECT(stat_of(id).msg_qnum, 0);
  EXPECT(stat_of(id).msg_lrpid, getpid());
  FAILS(send(id, 0, "x", 0), EINVAL);
  FAILS(send(id, -1, "x", 0), EINVAL);
  FAILS(msgsnd(id, &m, 8193, 0), EINVAL);
  FAILS(msgsnd(id, (void *)16, 5, 0), EFAULT);
  FAILS(msgrcv(id, &m, -1, 0, 0), EINVAL);
  FAILS(msgctl(id, 99, NULL), EINVAL);
  FAILS(msgctl(id, IPC_STAT, (void *)16), EFAULT);
  OK(msgctl(id, IPC_RMID, NULL));
  FAILS(send(id, 1, "x", 0), EINVAL);
  FAILS(msgrcv(id, &m, 1, 0, 0), EINVAL);
}

static void waiting(void) {
  int id = OK(msgget(IPC_PRIVATE, 0600));
  struct message m;
  pid_t pid = OK(fork());
  if (pid == 0) {
    EXPECT(msgrcv(id, &m, 100, 7, 0), 5);
    _exit(m.type != 7);
  }
  until_asleep(pid);
  OK(send(id, 6, "not you", 0));
  OK(send(id, 7, "hello", 0));
  EXPECT_EXIT(pid, 0);
  receive(id, 0, 0, "not you", 6);
  /* A full queue. */
  memset(m.text, 'x', 8192);
  m.type = 1;
  OK(msgsnd(id, &m, 8192, 0));
  OK(msgsnd(id, &m, 8192, 0));
  FAILS(msgsnd(id, &m, 1, IPC_NOWAIT), EAGAIN);
  pid = OK(fork());
  if (pid == 0)
    _exit(send(id, 2, "late", 0));
  until_asleep(pid);
  EXPECT(stat_of(id).msg_qnum, 2);
  EXPECT(msgrcv(id, &m, 8192, 0, 0), 8192);
  EXPECT_EXIT(pid, 0);
  receive(id, 2, 0, "late", 2);
  struct msqid_ds s = stat_of(id);
  s.msg_qbytes = 10;
  EXPECT(msgrcv(id, &m, 8192, 0, 0), 8192);
  OK(msgctl(id, IPC_SET, &s));
  FAILS(send(id, 1, "eleven char", IPC_NOWAIT), EAGAIN);
  pid = OK(fork());
  if (pid == 0) {
    FAILS(msgrcv(id, &m, 1, 0, 0), EIDRM);
    _exit(0);
  }
  until_asleep(pid);
  OK(msgctl(id, IPC_RMID, NULL));
  EXPECT_EXIT(pid, 0);
}

static volatile sig_atomic_t handled;
static void note(int sig) { handled = sig; }

static void interrupted(void) {
  int id = OK(msgget(IPC_PRIVATE, 0600));
  pid_t pid = OK(fork());
  if (pid == 0) {
    struct message m;
    handle(SIGALRM, note, SA_RESTART);
    ualarm(30000, 30000); /* the first may come before the call */
    FAILS(msgrcv(id, &m, 1, 0, 0), EINTR);
    EXPECT(handled, SIGALRM);
    _exit(0);
  }
  EXPECT_EXIT(pid, 0);
  OK(msgctl(id, IPC_RMID, NULL));
}

static void keys(void) {
  key_t key = 0x75480000 + getpid();
  FAILS(msgget(key, 0), ENOENT);
  int id = OK(msgget(key, IPC_CREAT | 0600));
  EXPECT(msgget(key, IPC_CREAT), id);
  FAILS(msgget(key, IPC_CREAT | IPC_EXCL), EEXIST);
  if (getuid() == 0)
    IN_CHILD {
      OK(setgid(1234));
      OK(setuid(1234));
      struct message m;
      FAILS(msgget(key, 0600), EACCES);
      FAILS(send(id, 1, "x", 0), EACCES);
      FAILS(msgrcv(id, &m, 1, 0, IPC_NOWAIT), EACCES);
      FAILS(msgctl(id, IPC_RMID, NULL), EPERM);
    }
  END_CHILD(0);
  OK(msgctl(id, IPC_RMID, NULL));
}

int main(void) {
  struct msginfo before, after;
  unshare(CLONE_NEWIPC); /* nobody else's are counted then, where it is allowed */
  OK(msgctl(0, MSG_INFO, (void *)&before));
  types();
  waiting();
  interrupted();
  keys();
  OK(msgctl(0, MSG_INFO, (void *)&after));
  EXPECT(after.msgpool, before.msgpool); /* queues */
  EXPECT(after.msgmap, before.msgmap);   /* messages */
  EXPECT(after.msgtql, before.msgtql);   /* bytes */
  return done();
}
