# Unit tests of kernel/fs and pipes: the real code on the host, see kernel/test/fs_env.h.

FS_TEST_SRC := $(filter-out kernel/fs/procfs%.c,$(patsubst $(S)/%,%,$(wildcard $(S)/kernel/fs/*.c))) \
	kernel/ipc/pipe.c kernel/ipc/fifo.c kernel/mm/uio.c kernel/mm/kmalloc.c \
	kernel/sched/mutex.c kernel/sched/waitq.c kernel/syscall/errname.c kernel/time/timer.c \
	kernel/test/no_sched.c kernel/test/fs_env.c
SRC_fs_model := $(FS_TEST_SRC)
SRC_fs_pipe := $(FS_TEST_SRC)
SRC_fs_epoll := $(FS_TEST_SRC)
SRC_fs_fdtable := $(FS_TEST_SRC)
SRC_fs_cpio := $(FS_TEST_SRC)
SRC_fs_line := $(FS_TEST_SRC)

FS_TESTS := fs_model fs_pipe fs_fdtable fs_epoll fs_cpio fs_line
$(foreach t,$(FS_TESTS),$(eval $(call core_test,$(t))))

.PHONY: fs-unit-tests
unit-tests: fs-unit-tests
fs-unit-tests: $(FS_TESTS:%=$(O)/test/kernel/%)
	timeout 600 $(O)/test/kernel/fs_model 1
	timeout 600 $(O)/test/kernel/fs_model 2
	timeout 600 $(O)/test/kernel/fs_pipe
	timeout 600 $(O)/test/kernel/fs_fdtable
	timeout 600 $(O)/test/kernel/fs_epoll
	timeout 600 $(O)/test/kernel/fs_cpio
	timeout 600 $(O)/test/kernel/fs_line

# Under the thread sanitizer, with the scheduler (core.mk).
$(eval $(call race_test,race_fs,kernel/test/race_fs.c kernel/sched/sched.c kernel/sched/thread.c \
	$(filter-out kernel/test/no_sched.c,$(FS_TEST_SRC))))
$(eval $(call race_test,race_ipc,kernel/test/race_ipc.c kernel/sched/sched.c kernel/sched/thread.c \
	$(filter-out kernel/test/no_sched.c,$(FS_TEST_SRC)) kernel/ipc/futex.c kernel/ipc/futex_pi.c \
	$(patsubst $(S)/%,%,$(wildcard $(S)/kernel/ipc/unix*.c $(S)/kernel/net/*.c))))
RACE_TESTS += race_fs race_ipc
test-tsan: $(O)/test/kernel/race_fs $(O)/test/kernel/race_ipc
$(O)/test/kernel/race_fs $(O)/test/kernel/race_ipc: $(S)/kernel/test/race_env.h
