/*
 * The calls of the differential test. Each function draws all its arguments first, then makes the call: what is
 * drawn must not depend on results, so that both sides, and a shortened repetition, do the same.
 */

static const mode_t modes[] = {0644, 0600, 0666, 0777, 0755, 0000, 04755, 02755, 06777, 01777, 0444, 07777, 0640, 0770};
static const long long sizes[] = {0, 1, 7, 511, 4095, 4096, 4097, 8192, 10000, 65536, 70000, 131072};
static const long long offsets[] = {0, 0, 1, 5, 4095, 4096, 4097, 8192, 12288, 20000, 65536, 100000, 1 << 20};
// LIMITS: "files beyond 2^53" are left out.
static const long long odd_offsets[] = {-1, 1ll << 31, 1ll << 40, (1ll << 44) - 4096, 1ll << 45, 1ll << 52};
static const unsigned ids[] = {0, 4001, 4002, 4003, 4010, 4011, (unsigned)-1, (unsigned)-1};
static char data[1 << 17];
static char big[1 << 17];

static long long draw_offset(void) { return chance(4) ? PICK(odd_offsets) : PICK(offsets); }

/* LIMITS: "positions beyond the largest file". */
static long long within_reach(long long offset) { return offset > 1ll << 40 ? 1ll << 40 : offset; }

static void fill(long count) {
  uint64_t seed = draw64();
  for (long i = 0; i < count; i++) data[i] = (char)(mix(seed + (uint64_t)(i >> 3)) >> (8 * (i & 7)));
}

static int draw_open_flags(void) {
  static const int access_modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, 3};
  static const struct { int flag; unsigned percent; } rest[] = {
    {O_CREAT, 50}, {O_EXCL, 8}, {O_TRUNC, 12}, {O_APPEND, 12}, {O_PATH, 6}, {O_DIRECT, 3}, {O_SYNC, 4}, {O_DSYNC, 4},
    {O_NOFOLLOW, 8}, {O_DIRECTORY, 6}, {O_NOATIME, 6}, {O_NONBLOCK, 12}, {O_CLOEXEC, 20}, {O_NOCTTY, 3}, {O_ASYNC, 1},
  };
  // LIMITS: "O_DIRECT without passthrough" knows no alignment.
  int flags = draw(40) == 0 ? 3 : access_modes[draw(5)];
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) flags |= chance(rest[i].percent) ? rest[i].flag : 0;
  if (chance(5)) flags = (flags & ~(O_CREAT | O_DIRECTORY)) | O_TMPFILE;
  if (!passthrough) flags &= ~O_DIRECT;
  return flags;
}

static void say_open_flags(int flags) {
  static const struct { int flag; const char *name; } names[] = {
    {O_TMPFILE, "O_TMPFILE"}, {O_CREAT, "O_CREAT"}, {O_EXCL, "O_EXCL"}, {O_TRUNC, "O_TRUNC"}, {O_APPEND, "O_APPEND"},
    {O_PATH, "O_PATH"}, {O_DIRECT, "O_DIRECT"}, {O_SYNC, "O_SYNC"}, {O_DSYNC, "O_DSYNC"}, {O_NOFOLLOW, "O_NOFOLLOW"},
    {O_DIRECTORY, "O_DIRECTORY"}, {O_NOATIME, "O_NOATIME"}, {O_NONBLOCK, "O_NONBLOCK"}, {O_NOCTTY, "O_NOCTTY"},
    {O_ASYNC, "O_ASYNC"},
  };
  static const char *const access_names[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
  say_call("%s", access_names[flags & 3]);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if ((flags & names[i].flag) != names[i].flag) continue;
    say_call("|%s", names[i].name);
    flags &= ~names[i].flag;
  }
}

static void tell_stat(const struct stat *info) {
  tell(" mode=%o uid=%u gid=%u nlink=%lu rdev=%lx blksize=%ld", known_mode(info->st_mode), info->st_uid, info->st_gid,
       (unsigned long)info->st_nlink, (unsigned long)info->st_rdev, (long)info->st_blksize);
  if (!S_ISDIR(info->st_mode)) tell(" size=%lld", (long long)info->st_size);
  if (S_ISREG(info->st_mode) && info->st_size == 0) tell(" blocks=%s", info->st_blocks == 0 ? "0" : "some");
  // Sockets that are not in a directory have whatever times. LIMITS: "times of FIFOs".
  if (!S_ISSOCK(info->st_mode) && !S_ISFIFO(info->st_mode)) tell_time("mtime", info->st_mtim.tv_sec, (unsigned)info->st_mtim.tv_nsec);
}

/* ------------------------------------------------------------------------------------------------ opening */

static void call_open(void) {
  char path[PATH_BYTES];
  int dir = draw_dir(), flags = draw_open_flags(), slot = draw_slot();
  mode_t mode = PICK(modes);
  draw_path(path);
  say_call("fd%d = openat(%s, %s, ", slot - SLOT_FIRST, shown_dir(dir), shown(path));
  say_open_flags(flags);
  say_call(", 0%o)", mode);
  timer(true);
  int fd = openat(dir, path, flags, mode);
  gave(fd < 0 ? -1 : 0);
  timer(false);
  if (fd >= 0) tell(" getfl=%o", fcntl(fd, F_GETFL));
  keep_fd(fd, slot);
}

static void call_creat(void) {
  char path[PATH_BYTES];
  int slot = draw_slot();
  mode_t mode = PICK(modes);
  draw_path(path);
  say_call("fd%d = creat(%s, 0%o)", slot - SLOT_FIRST, shown(path), mode);
  timer(true);
  int fd = creat(path, mode);
  gave(fd < 0 ? -1 : 0);
  timer(false);
  keep_fd(fd, slot);
}

static void call_openat2(void) {
  static const unsigned long long resolves[] = {0, RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT, 1 << 20};
  char path[PATH_BYTES];
  struct open_how how = {0};
  int dir = draw_dir(), flags = draw_open_flags(), slot = draw_slot();
  mode_t mode = PICK(modes);
  bool strict = chance(80);
  how.resolve = PICK(resolves) | (chance(10) ? PICK(resolves) : 0);
  draw_path(path);
  if (strict && (flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (strict && (flags & (O_CREAT | __O_TMPFILE)) == 0) mode = 0;
  how.flags = (unsigned)flags;
  how.mode = mode;
  say_call("fd%d = openat2(%s, %s, {", slot - SLOT_FIRST, shown_dir(dir), shown(path));
  say_open_flags(flags);
  say_call(", mode 0%o, resolve %llx})", mode, (unsigned long long)how.resolve);
  timer(true);
  int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
  gave(fd < 0 ? -1 : 0);
  timer(false);
  keep_fd(fd, slot);
}

static void call_reopen(void) {
  char path[60];
  int from = draw_slot(), to = draw_slot(), flags = draw_open_flags() & ~(O_CREAT | O_EXCL | O_TMPFILE);
  say_call("fd%d = open(\"/proc/self/fd/fd%d\", ", to - SLOT_FIRST, from - SLOT_FIRST);
  say_open_flags(flags);
  say_call(")");
  sprintf(path, "self/fd/%d", from);
  timer(true);
  int fd = openat(proc_fd, path, flags);
  gave(fd < 0 ? -1 : 0);
  timer(false);
  keep_fd(fd, to);
}

static void call_close(void) {
  int slot = draw_slot();
  say_call("close(fd%d)", slot - SLOT_FIRST);
  gave(close(slot));
}

static void call_dup(void) {
  int from = draw_slot(), to = draw_slot();
  say_call("dup2(fd%d, fd%d)", from - SLOT_FIRST, to - SLOT_FIRST);
  gave(dup2(from, to) < 0 ? -1 : 0);
}

/* ------------------------------------------------------------------------------------------------ data */

/* Positions in a directory are the file system's own business: only the start is the same for all. */
static void rewind_directory(int fd) {
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) lseek(fd, 0, SEEK_SET);
}

/* LIMITS: "reading nothing" is left out. */
static long draw_read_size(void) {
  long count = PICK(sizes);
  return count > 0 ? count : 1;
}

static void call_read(void) {
  int fd = draw_slot();
  long count = draw_read_size();
  say_call("read(fd%d, %ld)", fd - SLOT_FIRST, count);
  rewind_directory(fd);
  if (fd_may_block(fd)) timer(true);
  tell_bytes(big, gave(read(fd, big, (size_t)count)));
  timer(false);
}

static void call_pread(void) {
  int fd = draw_slot();
  long count = draw_read_size();
  long long offset = draw_offset();
  say_call("pread(fd%d, %ld, %lld)", fd - SLOT_FIRST, count, offset);
  tell_bytes(big, gave(pread(fd, big, (size_t)count, offset)));
}

static void call_write(void) {
  int fd = draw_slot();
  long count = PICK(sizes);
  fill(count);
  say_call("write(fd%d, %ld)", fd - SLOT_FIRST, count);
  rewind_directory(fd);
  if (fd_may_block(fd)) timer(true);
  gave(write(fd, data, (size_t)count));
  timer(false);
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) tell(" at=%lld", (long long)lseek(fd, 0, SEEK_CUR));
}

static void call_pwrite(void) {
  int fd = draw_slot();
  long count = PICK(sizes);
  long long offset = draw_offset();
  fill(count);
  say_call("pwrite(fd%d, %ld, %lld)", fd - SLOT_FIRST, count, offset);
  gave(pwrite(fd, data, (size_t)count, offset));
}

static void draw_vector(struct iovec *vector, int *count, char *from) {
  *count = 1 + (int)draw(4);
  for (int i = 0; i < *count; i++) {
    vector[i].iov_base = from;
    vector[i].iov_len = 1 + draw(6000);
    from += vector[i].iov_len;
  }
}

static void call_readv(void) {
  struct iovec vector[5];
  int fd = draw_slot(), count;
  draw_vector(vector, &count, big);
  say_call("readv(fd%d, %d parts)", fd - SLOT_FIRST, count);
  rewind_directory(fd);
  if (fd_may_block(fd)) timer(true);
  tell_bytes(big, gave(readv(fd, vector, count)));
  timer(false);
}

static void call_writev(void) {
  struct iovec vector[5];
  int fd = draw_slot(), count;
  draw_vector(vector, &count, data);
  fill(30000);
  say_call("writev(fd%d, %d parts)", fd - SLOT_FIRST, count);
  rewind_directory(fd);
  if (fd_may_block(fd)) timer(true);
  gave(writev(fd, vector, count));
  timer(false);
}

static void call_preadv2(void) {
  static const int all[] = {0, 0, 1 /* HIPRI */, 0x10, 0x80000000};
  struct iovec vector[5];
  int fd = draw_slot(), count, flags = PICK(all);
  long long offset = draw_offset();
  draw_vector(vector, &count, big);
  say_call("preadv2(fd%d, %d parts, %lld, %x)", fd - SLOT_FIRST, count, offset, flags);
  rewind_directory(fd);
  if (fd_may_block(fd)) timer(true);
  tell_bytes(big, gave(preadv2(fd, vector, count, offset, flags)));
  timer(false);
}

static void call_pwritev2(void) {
  static const int all[] = {0, 0, RWF_DSYNC, RWF_APPEND, 4 /* SYNC */, 0x20 /* NOAPPEND */, 0x80000000};
  struct iovec vector[5];
  int fd = draw_slot(), count, flags = PICK(all);
  long long offset = draw_offset();
  // LIMITS: "O_APPEND and O_DIRECT taken away", and RWF_NOAPPEND without passthrough.
  if (flags == 0x20 && (fcntl(fd, F_GETFL) & O_APPEND) != 0) flags = 0;
  draw_vector(vector, &count, data);
  fill(30000);
  say_call("pwritev2(fd%d, %d parts, %lld, %x)", fd - SLOT_FIRST, count, offset, flags);
  rewind_directory(fd);
  if (fd_may_block(fd)) timer(true);
  gave(pwritev2(fd, vector, count, offset, flags));
  timer(false);
}

static void call_lseek(void) {
  static const char *const names[] = {"SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE", "9"};
  static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, 9};
  int fd = draw_slot();
  unsigned which = chance(2) ? 5 : draw(5);
  long long offset = draw_offset();
  say_call("lseek(fd%d, %lld, %s)", fd - SLOT_FIRST, offset, names[which]);
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) offset = 0, which = 0;
  if (which < 3) offset = within_reach(offset);
  // LIMITS: "holes of tmpfs that are mapped".
  if (on_tmpfs && !passthrough && (which == 3 || which == 4)) which = 2, offset = 0;
  gave(lseek(fd, offset, whences[which]));
}

static void call_truncate(void) {
  char path[PATH_BYTES];
  long long size = draw_offset();
  draw_path(path);
  say_call("truncate(%s, %lld)", shown(path), size);
  gave(truncate(path, size));
}

static void call_ftruncate(void) {
  int fd = draw_slot();
  long long size = draw_offset();
  say_call("ftruncate(fd%d, %lld)", fd - SLOT_FIRST, size);
  gave(ftruncate(fd, size));
}

static void call_fallocate(void) {
  static const struct { int mode; bool refused; } all[] = {
    {0, false}, {0, false}, {FALLOC_FL_KEEP_SIZE, false}, {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false},
    {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false}, {FALLOC_FL_ZERO_RANGE, false},
    {FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, false}, {FALLOC_FL_PUNCH_HOLE, false},
    {FALLOC_FL_COLLAPSE_RANGE, true}, {FALLOC_FL_INSERT_RANGE, true}, {FALLOC_FL_UNSHARE_RANGE, true},
    {FALLOC_FL_WRITE_ZEROES, true}, {0x100, false},
  };
  int fd = draw_slot();
  unsigned which = draw(sizeof all / sizeof *all);
  long long offset = draw_offset(), length = chance(5) ? PICK(odd_offsets) : PICK(sizes);
  if (offset > 1 << 30 || length > 1 << 30) length = length < 0 ? length : length & 4096;
  say_call("fallocate(fd%d, %x, %lld, %lld)", fd - SLOT_FIRST, all[which].mode, offset, length);
  // LIMITS: "FUSE refuses these modes". The directory must not do them either.
  if (all[which].refused && side == PLAIN) {
    errno = EOPNOTSUPP;
    gave(-1);
    return;
  }
  // LIMITS: "a refused fallocate" has taken setuid bits and capabilities already.
  struct stat info;
  bool may_be_refused = (all[which].mode & (FALLOC_FL_ZERO_RANGE | 0x100)) != 0;
  if (may_be_refused && fstat(fd, &info) == 0 && (known_mode(info.st_mode) & (S_ISUID | S_ISGID)) != 0) return;
  if (may_be_refused && fgetxattr(fd, "security.capability", NULL, 0) >= 0) return;
  gave(fallocate(fd, all[which].mode, offset, length));
  if (all[which].refused && now->ret == -1) now->err = EOPNOTSUPP;
}

static bool is_direct(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_DIRECT) != 0;
}

/* Of what can be copied from there: the kernel shortens a copy to the size of the file, aligned or not. */
static size_t whole_blocks(int fd, loff_t from, size_t count) {
  struct stat info;
  if (fstat(fd, &info) != 0 || info.st_size <= from) return 0;
  size_t left = (size_t)(info.st_size - from);
  return (count < left ? count : left) & ~(size_t)4095;
}

static void call_copy_file_range(void) {
  int in = draw_slot(), out = draw_slot();
  bool seeks = chance(60);
  loff_t from = within_reach(draw_offset()), to = within_reach(draw_offset());
  size_t count = (size_t)PICK(sizes);
  unsigned flags = chance(2) ? 1 : 0;
  rewind_directory(in);
  // LIMITS: "copy_file_range with O_DIRECT".
  if (is_direct(in)) from &= ~4095LL, count = whole_blocks(in, from, count), seeks = true;
  if (is_direct(out)) count = 0;
  say_call("copy_file_range(fd%d, %lld, fd%d, %lld, %zu)", in - SLOT_FIRST, seeks ? (long long)from : -2, out - SLOT_FIRST,
           seeks ? (long long)to : -2, count);
  gave(copy_file_range(in, seeks ? &from : NULL, out, seeks ? &to : NULL, count, flags));
}

/* What a pipe refers to while it is being overwritten is anybody's guess. */
static bool is_same_file(int a, int b) {
  struct stat first, second;
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino;
}

static void call_sendfile(void) {
  int in = draw_slot(), out = draw_slot();
  off_t from = within_reach(draw_offset());
  size_t count = (size_t)draw_read_size();
  bool seeks = chance(60);
  rewind_directory(in);
  say_call("sendfile(fd%d, fd%d, %lld, %zu)", out - SLOT_FIRST, in - SLOT_FIRST, seeks ? (long long)from : -2, count);
  if (is_same_file(in, out)) return;
  if (fd_may_block(in) || fd_may_block(out)) timer(true);
  gave(sendfile(out, in, seeks ? &from : NULL, count));
  timer(false);
}

static void call_splice(void) {
  int in = draw_slot(), out = draw_slot(), pipes[2];
  loff_t from = within_reach(draw_offset()), to = within_reach(draw_offset());
  size_t count = (size_t)draw_read_size();
  if (count > 60000) count = 60000;
  say_call("splice(fd%d, %lld, pipe, %zu); splice(pipe, fd%d, %lld)", in - SLOT_FIRST, (long long)from, count,
           out - SLOT_FIRST, (long long)to);
  if (is_same_file(in, out)) return;
  if (pipe2(pipes, O_NONBLOCK) != 0) return;
  ssize_t got = splice(in, &from, pipes[1], NULL, count, SPLICE_F_NONBLOCK);
  gave(got);
  if (got > 0) {
    ssize_t put = splice(pipes[0], NULL, out, &to, (size_t)got, SPLICE_F_NONBLOCK);
    tell(" put=%zd errno=%d", put, put < 0 ? errno : 0);
  }
  close(pipes[0]);
  close(pipes[1]);
}

static void call_sync(void) {
  static const char *const names[] = {"fsync", "fdatasync", "syncfs", "sync_file_range"};
  int fd = draw_slot();
  unsigned which = draw(4);
  long long offset = draw_offset();
  say_call("%s(fd%d)", names[which], fd - SLOT_FIRST);
  if (which == 0) gave(fsync(fd));
  else if (which == 1) gave(fdatasync(fd));
  else if (which == 2) gave(syncfs(fd));
  else gave(sync_file_range(fd, offset, 4096, 7));
}

static void call_advise(void) {
  int fd = draw_slot(), advice = (int)draw(7);
  // LIMITS: "readahead counts as reading", and that some time later.
  if (passthrough && advice == POSIX_FADV_WILLNEED) advice = POSIX_FADV_NORMAL;
  say_call("posix_fadvise(fd%d, 0, 0, %d)%s", fd - SLOT_FIRST, advice, passthrough ? "" : "; readahead");
  tell(" advise=%d", posix_fadvise(fd, 0, 0, advice));
  if (!passthrough) gave(readahead(fd, 0, 4096));
}

/* ------------------------------------------------------------------------------------------------ mappings */

static sigjmp_buf mapping_fault;
static void on_fault(int signal) { siglongjmp(mapping_fault, signal); }

struct mapping {
  char *at;
  size_t length;
  off_t offset; /* in the file */
  bool is_private;
  int fd;
};
static struct mapping mappings[3];

static void unmap(struct mapping *mapping) {
  if (mapping->at == NULL) return;
  munmap(mapping->at, mapping->length);
  close(mapping->fd);
  mapping->at = NULL;
}

/* LIMITS: "stores into a mapping" move times, which the mount shows a little later. */
static void look_again(const struct mapping *mapping) {
  struct statx info;
  if (passthrough) statx(mapping->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &info);
}

/* LIMITS: "bytes stored behind the end" of a file that is mapped. */
static bool may_store(const struct mapping *mapping, size_t at) {
  struct stat info;
  if (!on_tmpfs || passthrough || mapping->is_private || fstat(mapping->fd, &info) != 0) return true;
  return mapping->offset + (off_t)at < info.st_size;
}

static void touch(const struct mapping *mapping, size_t at, bool stores, char value) {
  stores = stores && may_store(mapping, at);
  struct sigaction catching = {.sa_handler = on_fault}, before;
  sigaction(SIGBUS, &catching, &before);
  int fault = sigsetjmp(mapping_fault, 1);
  if (fault != 0) tell(" signal=%d", fault);
  else if (stores) mapping->at[at] = value;
  else tell(" byte=%02x", (unsigned char)mapping->at[at]);
  sigaction(SIGBUS, &before, NULL);
}

static void call_mmap(void) {
  static const int protections[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};
  int fd = draw_slot(), which = (int)draw(3), protection = PICK(protections);
  int kind = chance(75) ? MAP_SHARED : MAP_PRIVATE;
  size_t pages = 1 + draw(4), at = draw((unsigned)pages * 4096);
  off_t offset = chance(70) ? 0 : 4096 * (off_t)draw(4);
  char value = (char)draw64();
  bool stores = chance(60), forgets = chance(50);
  say_call("m%d = mmap(fd%d, %lld, %zu, prot %d, %s); touch %zu", which, fd - SLOT_FIRST, (long long)offset, pages * 4096,
           protection, kind == MAP_SHARED ? "MAP_SHARED" : "MAP_PRIVATE", at);
  char *result = mmap(NULL, pages * 4096, protection, kind, fd, offset);
  gave(result == MAP_FAILED ? -1 : 0);
  if (result == MAP_FAILED) return;
  // LIMITS: "a mapping keeps no descriptor open": with one beside it, it does as below.
  struct mapping made = {result, pages * 4096, offset, kind == MAP_PRIVATE, fcntl(fd, F_DUPFD_CLOEXEC, 300)};
  touch(&made, at, stores && (protection & PROT_WRITE) != 0, value);
  tell(" msync=%d", msync(result, pages * 4096, MS_SYNC));
  look_again(&made);
  if (forgets) {
    unmap(&made);
    return;
  }
  unmap(&mappings[which]);
  mappings[which] = made;
}

static void call_mapped(void) {
  unsigned which = draw(3), at = draw(4 * 4096);
  bool stores = chance(50);
  char value = (char)draw64();
  say_call("%s m%u[%u]", stores ? "store" : "load", which, at);
  if (mappings[which].at == NULL || at >= mappings[which].length) return;
  struct mapping *mapping = &mappings[which];
  // A store into a mapping that may not be written would end the process, on both sides.
  if (stores && mprotect(mapping->at, mapping->length, PROT_READ | PROT_WRITE) != 0) {
    tell(" mprotect=%d", errno);
    return;
  }
  touch(mapping, at, stores, value);
  gave(msync(mapping->at, mapping->length, MS_SYNC));
  look_again(mapping);
}

/* ------------------------------------------------------------------------------------------------ attributes */

static void call_stat(void) {
  char path[PATH_BYTES];
  int dir = draw_dir(), fd = draw_slot();
  static const int all[] = {0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, 1};
  int flags = PICK(all);
  bool by_fd = chance(35);
  struct stat info;
  draw_path(path);
  if (by_fd) {
    say_call("fstat(fd%d)", fd - SLOT_FIRST);
    gave(fstat(fd, &info));
  } else {
    say_call("fstatat(%s, %s, %x)", shown_dir(dir), shown(path), flags);
    gave(fstatat(dir, path, &info, flags));
  }
  if (now->ret == 0) tell_stat(&info);
}

static void call_statx(void) {
  static const int all[] = {0, AT_SYMLINK_NOFOLLOW, AT_STATX_FORCE_SYNC, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC};
  static const unsigned masks[] = {STATX_BASIC_STATS, STATX_ALL, STATX_SIZE, STATX_MODE | STATX_NLINK, 0, 0x80000000};
  char path[PATH_BYTES];
  int dir = draw_dir(), flags = PICK(all);
  unsigned mask = PICK(masks);
  struct statx info = {0};
  draw_path(path);
  say_call("statx(%s, %s, %x, %x)", shown_dir(dir), shown(path), flags, mask);
  if (gave(statx(dir, path, flags, mask, &info)) != 0) return;
  unsigned told = info.stx_mask & mask & STATX_BASIC_STATS;
  tell(" basic=%x", told);
  // What nobody asked for may be older.
  if ((told & STATX_MODE) != 0) tell(" mode=%o", known_mode(info.stx_mode));
  if ((told & STATX_NLINK) != 0) tell(" nlink=%u", info.stx_nlink);
  if ((told & STATX_UID) != 0) tell(" uid=%u gid=%u", info.stx_uid, info.stx_gid);
  if ((told & STATX_SIZE) != 0 && !S_ISDIR(info.stx_mode)) tell(" size=%llu", (unsigned long long)info.stx_size);
  tell(" rdev=%u:%u", info.stx_rdev_major, info.stx_rdev_minor);
}

static void call_statfs(void) {
  char path[PATH_BYTES];
  int fd = draw_slot();
  bool by_fd = chance(50);
  struct statfs info;
  draw_path(path);
  if (by_fd) say_call("fstatfs(fd%d)", fd - SLOT_FIRST), gave(fstatfs(fd, &info));
  else say_call("statfs(%s)", shown(path)), gave(statfs(path, &info));
  struct stat kind;
  // A descriptor of a pipe or socket has a file system of its own, the same on both sides.
  if (now->ret == 0 && !(by_fd && fstat(fd, &kind) == 0 && S_ISSOCK(kind.st_mode))) {
    tell(" bsize=%ld frsize=%ld namelen=%ld", (long)info.f_bsize, (long)info.f_frsize, (long)info.f_namelen);
  }
}

static void call_access(void) {
  static const int all[] = {0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EACCESS | AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH};
  char path[PATH_BYTES];
  int dir = draw_dir(), wanted = (int)draw(8), flags = PICK(all);
  draw_path(path);
  say_call("faccessat2(%s, %s, %d, %x)", shown_dir(dir), shown(path), wanted, flags);
  gave(syscall(SYS_faccessat2, dir, path, wanted, flags));
}

static void call_chmod(void) {
  char path[PATH_BYTES];
  int dir = draw_dir(), fd = draw_slot();
  mode_t mode = PICK(modes);
  unsigned way = draw(4);
  draw_path(path);
  if (way == 0) say_call("fchmod(fd%d, 0%o)", fd - SLOT_FIRST, mode), gave(fchmod(fd, mode));
  else if (way == 1) say_call("fchmodat2(%s, %s, 0%o, AT_SYMLINK_NOFOLLOW)", shown_dir(dir), shown(path), mode), gave(syscall(SYS_FCHMODAT2, dir, path, mode, AT_SYMLINK_NOFOLLOW));
  else if (way == 2) say_call("fchmodat2(fd%d, \"\", 0%o, AT_EMPTY_PATH)", fd - SLOT_FIRST, mode), gave(syscall(SYS_FCHMODAT2, fd, "", mode, AT_EMPTY_PATH));
  else say_call("fchmodat(%s, %s, 0%o)", shown_dir(dir), shown(path), mode), gave(syscall(SYS_fchmodat, dir, path, mode));
}

static void call_chown(void) {
  static const int all[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH};
  char path[PATH_BYTES];
  int dir = draw_dir(), fd = draw_slot(), flags = PICK(all);
  unsigned uid = PICK(ids), gid = PICK(ids);
  bool by_fd = chance(30);
  draw_path(path);
  // LIMITS: "chown of a setuid file" to nobody.
  struct stat info;
  bool found = (by_fd ? fstat(fd, &info) : fstatat(dir, path, &info, flags)) == 0;
  if (uid == gid && uid == (unsigned)-1 && found && (known_mode(info.st_mode) & (S_ISUID | S_ISGID)) != 0) return;
  if (by_fd) say_call("fchown(fd%d, %d, %d)", fd - SLOT_FIRST, (int)uid, (int)gid), gave(fchown(fd, uid, gid));
  else say_call("fchownat(%s, %s, %d, %d, %x)", shown_dir(dir), shown(path), (int)uid, (int)gid, flags), gave(fchownat(dir, path, uid, gid, flags));
}

static void call_utimens(void) {
  static const long nanoseconds[] = {0, 1, 999999999, UTIME_NOW, UTIME_NOW, UTIME_OMIT, UTIME_OMIT, 1000000000};
  static const long long seconds[] = {0, 1, 1000000000, -1, -5000000, 1ll << 31, 1ll << 33, 5000000000};
  char path[PATH_BYTES];
  int dir = draw_dir(), fd = draw_slot(), flags = chance(30) ? AT_SYMLINK_NOFOLLOW : 0;
  bool by_fd = chance(30), both_now = chance(15);
  struct timespec times[2];
  for (int i = 0; i < 2; i++) times[i].tv_sec = PICK(seconds), times[i].tv_nsec = PICK(nanoseconds);
  draw_path(path);
  if (by_fd) say_call("futimens(fd%d", fd - SLOT_FIRST);
  else say_call("utimensat(%s, %s, flags %x", shown_dir(dir), shown(path), flags);
  if (both_now) say_call(", NULL)");
  else say_call(", {%lld.%09ld, %lld.%09ld})", (long long)times[0].tv_sec, times[0].tv_nsec, (long long)times[1].tv_sec, times[1].tv_nsec);
  if (by_fd) gave(futimens(fd, both_now ? NULL : times));
  else gave(utimensat(dir, path, both_now ? NULL : times, flags));
}

static void call_umask(void) {
  static const mode_t all[] = {022, 0, 077, 027, 002, 0777};
  mode_t mask = PICK(all);
  say_call("umask(0%o)", mask);
  gave(umask(mask));
}

/* ------------------------------------------------------------------------------------------------ names */

static void call_link(void) {
  static const int all[] = {0, 0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, 0x4};
  char from[PATH_BYTES], to[PATH_BYTES], through[60];
  int from_dir = draw_dir(), to_dir = draw_dir(), flags = PICK(all), fd = draw_slot();
  unsigned way = draw(10);
  draw_path(from);
  draw_path(to);
  if (way == 0) {
    say_call("linkat(fd%d, \"\", %s, %s, AT_EMPTY_PATH)", fd - SLOT_FIRST, shown_dir(to_dir), shown(to));
    gave(linkat(fd, "", to_dir, to, AT_EMPTY_PATH));
  } else if (way == 1) {
    say_call("linkat(\"/proc/self/fd/fd%d\", %s, %s, AT_SYMLINK_FOLLOW)", fd - SLOT_FIRST, shown_dir(to_dir), shown(to));
    sprintf(through, "self/fd/%d", fd);
    gave(linkat(proc_fd, through, to_dir, to, AT_SYMLINK_FOLLOW));
  } else {
    say_call("linkat(%s, %s, %s, %s, %x)", shown_dir(from_dir), shown(from), shown_dir(to_dir), shown(to), flags);
    gave(linkat(from_dir, from, to_dir, to, flags));
  }
}

static void call_symlink(void) {
  char target[PATH_BYTES], path[PATH_BYTES];
  int dir = draw_dir();
  bool loops = chance(15), long_one = chance(4);
  draw_path(target);
  draw_path(path);
  if (loops) strcpy(target, path);
  if (long_one) memset(target, 't', 4095), target[4095] = 0;
  say_call("symlinkat(%s, %s, %s)", shown(target), shown_dir(dir), shown(path));
  gave(symlinkat(target, dir, path));
}

static void call_readlink(void) {
  static const size_t lengths[] = {4096, 1, 3, 0, 100};
  char path[PATH_BYTES], target[PATH_BYTES];
  int dir = draw_dir();
  size_t length = chance(80) ? 4096 : PICK(lengths);
  draw_path(path);
  say_call("readlinkat(%s, %s, %zu)", shown_dir(dir), shown(path), length);
  long got = gave(syscall(SYS_readlinkat, dir, path, target, length));
  if (got >= 0) target[got] = 0, tell(" %s", shown(target));
}

static void call_unlink(void) {
  static const int all[] = {0, 0, AT_REMOVEDIR, 1};
  char path[PATH_BYTES];
  int dir = draw_dir(), flags = PICK(all);
  draw_path(path);
  say_call("unlinkat(%s, %s, %x)", shown_dir(dir), shown(path), flags);
  gave(unlinkat(dir, path, flags));
}

/* LIMITS: "a rename that fails" and would have left a whiteout. */
static void look_at_parent_again(int dir, const char *path) {
  char parent[PATH_BYTES + 2];
  struct statx info;
  size_t length = strlen(path);
  while (length > 0 && path[length - 1] == '/') length--;
  while (length > 0 && path[length - 1] != '/') length--;
  snprintf(parent, sizeof parent, "%.*s.", (int)length, path);
  statx(dir, parent, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &info);
}

static void call_rename(void) {
  static const unsigned all[] = {0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE, RENAME_WHITEOUT, RENAME_EXCHANGE | RENAME_NOREPLACE, RENAME_WHITEOUT | RENAME_NOREPLACE, RENAME_WHITEOUT | RENAME_EXCHANGE, 8};
  char from[PATH_BYTES], to[PATH_BYTES];
  int from_dir = draw_dir(), to_dir = draw_dir();
  unsigned flags = PICK(all);
  draw_path(from);
  draw_path(to);
  say_call("renameat2(%s, %s, %s, %s, %x)", shown_dir(from_dir), shown(from), shown_dir(to_dir), shown(to), flags);
  bool failed = gave(renameat2(from_dir, from, to_dir, to, flags)) != 0;
  if (failed && now->err != EINVAL && (flags & RENAME_WHITEOUT) != 0 && !on_tmpfs) look_at_parent_again(from_dir, from);
}

static void call_mkdir(void) {
  char path[PATH_BYTES];
  int dir = draw_dir();
  mode_t mode = chance(60) ? 0777 : PICK(modes);
  draw_path(path);
  say_call("mkdirat(%s, %s, 0%o)", shown_dir(dir), shown(path), mode);
  gave(mkdirat(dir, path, mode));
}

static void call_mknod(void) {
  static const mode_t kinds[] = {S_IFREG, S_IFREG, 0, S_IFIFO, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK};
  char path[PATH_BYTES];
  int dir = draw_dir();
  mode_t mode = PICK(kinds) | PICK(modes);
  // Null, zero, a whiteout, and numbers that nobody has, some of them large.
  static const unsigned devices[][2] = {{1, 3}, {1, 5}, {0, 0}, {60, 1}, {60, 0xfffff}, {120, 300}};
  unsigned which = draw(6);
  draw_path(path);
  if (S_ISBLK(mode)) which = 3 + which % 3;
  say_call("mknodat(%s, %s, 0%o, %u:%u)", shown_dir(dir), shown(path), mode, devices[which][0], devices[which][1]);
  gave(mknodat(dir, path, mode, makedev(devices[which][0], devices[which][1])));
}

static void call_bind(void) {
  char path[PATH_BYTES];
  int slot = draw_slot();
  bool connects = chance(30);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  draw_path(path);
  path[100] = 0;
  if (path[0] == 0) strcpy(path, "."); // Nothing is an address by itself, without a name.
  strcpy(address.sun_path, path);
  say_call("%s(fd%d, %s)", connects ? "connect" : "bind", slot - SLOT_FIRST, shown(path));
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
  gave((connects ? connect : bind)(fd, (struct sockaddr *)&address, length));
  keep_fd(fd, slot);
}

/* ------------------------------------------------------------------------------------------------ xattrs */

static const char *const xattr_names[] = {
  "user.a", "user.a", "user.b", "user.c", "trusted.t", "security.s", "security.capability", "system.posix_acl_access",
  "system.posix_acl_access", "system.posix_acl_default", "system.nothing", "nonsense", "user.", "overlay.x",
};

struct acl_entry {
  uint16_t tag, rights;
  uint32_t id;
};

static size_t draw_acl(char *out) {
  uint32_t version = chance(95) ? 2 : 1;
  memcpy(out, &version, 4);
  size_t used = 4;
  bool named = chance(60);
  struct acl_entry entries[] = {
    {1, (uint16_t)draw(8), ~0u}, {2, (uint16_t)draw(8), 4001 + draw(3)}, {4, (uint16_t)draw(8), ~0u},
    {8, (uint16_t)draw(8), 4010 + draw(2)}, {0x10, (uint16_t)draw(8), ~0u}, {0x20, (uint16_t)draw(8), ~0u},
  };
  for (size_t i = 0; i < 6; i++) {
    bool optional = entries[i].tag == 2 || entries[i].tag == 8 || entries[i].tag == 0x10;
    if (optional && !named) continue;
    if (chance(2)) continue;
    memcpy(out + used, &entries[i], 8);
    used += 8;
  }
  return used;
}

/* A target for the calls that come as path, symlink and descriptor. */
struct xattr_target {
  char path[PATH_BYTES];
  int fd;
  unsigned way;
};

static void draw_xattr_target(struct xattr_target *target) {
  draw_path(target->path);
  target->fd = draw_slot();
  target->way = draw(3);
}

static void say_xattr_target(const struct xattr_target *target) {
  if (target->way == 2) say_call("fd%d", target->fd - SLOT_FIRST);
  else say_call("%s%s", shown(target->path), target->way == 1 ? " (no follow)" : "");
}

static int stat_xattr_target(const struct xattr_target *target, struct stat *info) {
  if (target->way == 2) return fstat(target->fd, info);
  return (target->way == 1 ? lstat : stat)(target->path, info);
}

/*
 * LIMITS: "the setgid bit of a file that its group may not execute" is not looked at, so an ACL that lets the group execute
 * must not bring it to light.
 */
static void forget_setgid(const struct xattr_target *target, mode_t mode_before) {
  struct stat info;
  if (!S_ISREG(mode_before) || (mode_before & S_IXGRP) != 0) return;
  if (stat_xattr_target(target, &info) != 0 || (info.st_mode & S_IXGRP) == 0) return;
  mode_t mode = info.st_mode & 07777 & ~(mode_t)S_ISGID;
  if ((target->way == 2 ? fchmod(target->fd, mode) : chmod(target->path, mode)) != 0) tell(" chmod=%d", errno);
}

static void call_setxattr(void) {
  static const size_t lengths[] = {0, 1, 10, 200, 3000, 5000, 65536, 65537};
  struct xattr_target target;
  const char *name = PICK(xattr_names);
  int flags = chance(60) ? 0 : (int)draw(4);
  size_t length = lengths[chance(85) ? draw(4) : draw(8)];
  draw_xattr_target(&target);
  fill(70000);
  size_t acl_length = draw_acl(big);
  bool is_acl = strncmp(name, "system.posix_acl", 16) == 0;
  if (is_acl) memcpy(data, big, acl_length), length = acl_length;
  if (strcmp(name, "security.capability") == 0) {
    static const uint32_t capability[] = {0x02000001, 1, 0, 0, 0};
    memcpy(data, capability, length = sizeof capability);
  }
  say_call("setxattr(");
  say_xattr_target(&target);
  say_call(", %s, %zu bytes, %d)", name, length, flags);
  if (is_acl) for (size_t i = 4; i + 8 <= length; i += 8) {
    struct acl_entry entry;
    memcpy(&entry, data + i, 8);
    say_call(" %x:%d:%o", entry.tag, (int)entry.id, entry.rights);
  }
  struct stat info;
  bool is_known = is_acl && stat_xattr_target(&target, &info) == 0;
  if (target.way == 2) gave(fsetxattr(target.fd, name, data, length, flags));
  else gave((target.way == 1 ? lsetxattr : setxattr)(target.path, name, data, length, flags));
  if (is_known && now->ret == 0) forget_setgid(&target, info.st_mode);
}

static void call_getxattr(void) {
  static const size_t lengths[] = {65536, 0, 1, 10, 200, 70000};
  struct xattr_target target;
  const char *name = PICK(xattr_names);
  size_t length = chance(70) ? 65536 : PICK(lengths);
  draw_xattr_target(&target);
  say_call("getxattr(");
  say_xattr_target(&target);
  say_call(", %s, %zu)", name, length);
  if (target.way == 2) gave(fgetxattr(target.fd, name, big, length));
  else gave((target.way == 1 ? lgetxattr : getxattr)(target.path, name, big, length));
  if (length > 0) tell_bytes(big, now->ret);
}

static void call_listxattr(void) {
  static const size_t lengths[] = {65536, 0, 1, 20, 70000};
  struct xattr_target target;
  size_t length = chance(70) ? 65536 : PICK(lengths);
  draw_xattr_target(&target);
  say_call("listxattr(");
  say_xattr_target(&target);
  say_call(", %zu)", length);
  if (target.way == 2) gave(flistxattr(target.fd, big, length));
  else gave((target.way == 1 ? llistxattr : listxattr)(target.path, big, length));
  if (length == 0 || now->ret <= 0) return;
  for (char *at = big; at < big + now->ret; at += strlen(at) + 1) tell(" %s", at);
}

static void call_removexattr(void) {
  struct xattr_target target;
  const char *name = PICK(xattr_names);
  draw_xattr_target(&target);
  say_call("removexattr(");
  say_xattr_target(&target);
  say_call(", %s)", name);
  if (target.way == 2) gave(fremovexattr(target.fd, name));
  else gave((target.way == 1 ? lremovexattr : removexattr)(target.path, name));
}

static void call_xattrat(void) {
  struct { uint64_t value; uint32_t size, flags; } args = {0, 0, 0};
  char path[PATH_BYTES];
  int dir = draw_dir(), flags = chance(30) ? AT_SYMLINK_NOFOLLOW : chance(20) ? AT_EMPTY_PATH : 0;
  unsigned way = draw(4);
  const char *name = PICK(xattr_names);
  draw_path(path);
  fill(50);
  args.value = (uint64_t)(uintptr_t)(way == 0 ? data : big);
  args.size = way == 0 ? 50 : 1000;
  static const char *const names[] = {"setxattrat", "getxattrat", "listxattrat", "removexattrat"};
  say_call("%s(%s, %s, %x, %s)", names[way], shown_dir(dir), shown(path), flags, name);
  if (way == 0) gave(syscall(SYS_SETXATTRAT, dir, path, flags, name, &args, sizeof args));
  if (way == 1) gave(syscall(SYS_GETXATTRAT, dir, path, flags, name, &args, sizeof args));
  if (way == 2) gave(syscall(SYS_LISTXATTRAT, dir, path, flags, big, (size_t)1000));
  if (way == 3) gave(syscall(SYS_REMOVEXATTRAT, dir, path, flags, name));
  if ((way == 1 || way == 2) && now->ret > 0) tell_bytes(big, now->ret);
}

/* ------------------------------------------------------------------------------------------------ directories */

struct listed {
  uint64_t ino;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
};

static char *listed_names[1000];
static int listed_count;

static long list_some(int fd, size_t bytes, bool types) {
  static char buffer[1 << 15];
  long got = syscall(SYS_getdents64, fd, buffer, bytes);
  for (long at = 0; at < got && listed_count < 1000;) {
    struct listed *entry = (struct listed *)(buffer + at);
    char *text = malloc(1300);
    snprintf(text, 1300, "%s%s%c", shown(entry->name), types ? ":" : "", types ? '0' + entry->type : ' ');
    listed_names[listed_count++] = text;
    at += entry->length;
  }
  return got;
}

static void tell_listed(void) {
  qsort(listed_names, (size_t)listed_count, sizeof *listed_names, by_name);
  for (int i = 0; i < listed_count; i++) tell(" %s", listed_names[i]), free(listed_names[i]);
  listed_count = 0;
}

static void call_getdents(void) {
  static const size_t buffers[] = {32768, 32768, 1024, 300, 10};
  int fd = draw_slot();
  size_t bytes = PICK(buffers);
  bool rewinds = chance(70);
  say_call("%sgetdents64(fd%d, %zu) until the end", rewinds ? "lseek(0); " : "", fd - SLOT_FIRST, bytes);
  // LIMITS: "what is new in an open directory".
  if (rewinds || lseek(fd, 0, SEEK_CUR) == 0) lseek(fd, 0, SEEK_SET);
  long got;
  do gave(got = list_some(fd, bytes, true));
  while (got > 0 && listed_count < 900);
  tell_listed();
}

static void call_list(void) {
  char path[PATH_BYTES];
  int dir = draw_dir();
  draw_path(path);
  say_call("scandir(%s, %s)", shown_dir(dir), shown(path));
  int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gave(fd < 0 ? -1 : 0);
  if (fd < 0) return;
  long got;
  do got = list_some(fd, sizeof big / 8, true);
  while (got > 0);
  tell(" end=%ld", got);
  close(fd);
  tell_listed();
}

/* Names that are there all the time are listed exactly once, whatever comes and goes meanwhile. */
static void call_list_changing(void) {
  char path[PATH_BYTES], gone[260], new[260];
  int dir = draw_dir();
  unsigned first = 1 + draw(3);
  draw_path(path);
  draw_name(gone);
  draw_name(new);
  say_call("list %s in %s while unlinking %s and making %s", shown(path), shown_dir(dir), shown(gone), shown(new));
  int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gave(fd < 0 ? -1 : 0);
  if (fd < 0) return;
  for (unsigned i = 0; i < first; i++) list_some(fd, 330, false);
  int unlinked = unlinkat(fd, gone, 0);
  tell(" unlinked=%d", unlinked == 0 ? 0 : errno);
  int made = openat(fd, new, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  tell(" made=%d", made >= 0 ? 0 : errno);
  if (made >= 0) close(made);
  while (list_some(fd, 330, false) > 0) {
  }
  close(fd);
  char touched[2][700];
  snprintf(touched[0], sizeof touched[0], "%s ", shown(gone));
  snprintf(touched[1], sizeof touched[1], "%s ", shown(new));
  int kept = 0;
  for (int i = 0; i < listed_count; i++) {
    bool is_touched = strcmp(listed_names[i], touched[0]) == 0 || strcmp(listed_names[i], touched[1]) == 0;
    if (is_touched) free(listed_names[i]);
    else listed_names[kept++] = listed_names[i];
  }
  listed_count = kept;
  tell_listed();
}

/* seekdir to where telldir was brings the same names again. */
static void call_seekdir(void) {
  char path[PATH_BYTES];
  unsigned skipped = draw(4);
  draw_path(path);
  say_call("opendir(%s); telldir after %u; read on; seekdir; read again", shown(path), skipped);
  DIR *directory = opendir(path);
  gave(directory == NULL ? -1 : 0);
  if (directory == NULL) return;
  struct dirent *entry;
  for (unsigned i = 0; i < skipped && readdir(directory) != NULL; i++) {
  }
  long position = telldir(directory);
  uint64_t first = HASH_START, second = HASH_START;
  int count = 0;
  while ((entry = readdir(directory)) != NULL) first = hash_bytes(entry->d_name, strlen(entry->d_name) + 1, first), count++;
  seekdir(directory, position);
  while ((entry = readdir(directory)) != NULL) second = hash_bytes(entry->d_name, strlen(entry->d_name) + 1, second);
  tell(" rest=%d again=%s", count, first == second ? "equal" : "other");
  rewinddir(directory);
  for (count = 0; readdir(directory) != NULL;) count++;
  tell(" all=%d", count);
  closedir(directory);
}

static void call_chdir(void) {
  char path[PATH_BYTES];
  int fd = draw_slot();
  unsigned way = draw(4);
  draw_path(path);
  if (way == 0) say_call("fchdir(fd%d)", fd - SLOT_FIRST), gave(fchdir(fd));
  else if (way == 1) say_call("chdir(\"/\")"), gave(chdir("/"));
  else say_call("chdir(%s)", shown(path)), gave(chdir(path));
}

static void call_getcwd(void) {
  static char path[PATH_BYTES * 2];
  size_t length = chance(80) ? sizeof path : 1 + draw(20);
  say_call("getcwd(%zu)", length);
  long got = gave(syscall(SYS_getcwd, path, length));
  if (got > 0) tell(" %s", shown(path));
}

/* ------------------------------------------------------------------------------------------------ the rest */

static void call_flock(void) {
  static const int all[] = {LOCK_SH, LOCK_EX, LOCK_UN};
  int fd = draw_slot(), operation = PICK(all);
  say_call("flock(fd%d, %d|LOCK_NB)", fd - SLOT_FIRST, operation);
  gave(flock(fd, operation | LOCK_NB));
}

static void call_lock(void) {
  static const int commands[] = {F_SETLK, F_OFD_SETLK, F_GETLK, F_OFD_GETLK};
  static const char *const names[] = {"F_SETLK", "F_OFD_SETLK", "F_GETLK", "F_OFD_GETLK"};
  unsigned which = draw(4);
  int fd = draw_slot();
  struct flock lock = {.l_type = (short)draw(3), .l_whence = SEEK_SET, .l_start = draw(3) * 100, .l_len = draw(4) * 100};
  say_call("fcntl(fd%d, %s, {type %d, %lld, %lld})", fd - SLOT_FIRST, names[which], lock.l_type, (long long)lock.l_start, (long long)lock.l_len);
  gave(fcntl(fd, commands[which], &lock));
  if (now->ret == 0 && which >= 2) tell(" type=%d start=%lld len=%lld", lock.l_type, (long long)lock.l_start, (long long)lock.l_len);
}

static void call_fcntl(void) {
  int fd = draw_slot();
  unsigned which = draw(9);
  static const int settable[] = {0, O_APPEND, O_NONBLOCK, O_APPEND | O_NONBLOCK};
  // LIMITS: "O_DIRECT and O_NOATIME set by fcntl".
  int flags = PICK(settable);
  uint64_t hint = draw(7);
  switch (which) {
    case 0: case 1: case 2:
      // LIMITS: "O_APPEND and O_DIRECT taken away".
      flags |= fcntl(fd, F_GETFL) & (O_NOATIME | (passthrough ? O_APPEND | O_DIRECT : 0));
      say_call("fcntl(fd%d, F_SETFL, %o)", fd - SLOT_FIRST, flags);
      gave(fcntl(fd, F_SETFL, flags));
      // Sockets and FIFOs stay non-blocking.
      break;
    case 3: say_call("fcntl(fd%d, F_GETFL)", fd - SLOT_FIRST); gave(fcntl(fd, F_GETFL)); break;
    case 4: say_call("fcntl(fd%d, F_GETPIPE_SZ)", fd - SLOT_FIRST); gave(fcntl(fd, F_GETPIPE_SZ)); break;
    case 5: say_call("fcntl(fd%d, F_GETOWN)", fd - SLOT_FIRST); gave(fcntl(fd, F_GETOWN)); break;
    case 6: say_call("fcntl(fd%d, F_SET_RW_HINT, %d)", fd - SLOT_FIRST, (int)hint); gave(fcntl(fd, 1036, &hint)); break;
    case 7: say_call("fcntl(fd%d, F_GETLEASE)", fd - SLOT_FIRST); gave(fcntl(fd, F_GETLEASE)); break;
    default: say_call("fcntl(fd%d, 99)", fd - SLOT_FIRST); gave(fcntl(fd, 99)); break;
  }
}

static void call_ioctl(void) {
  static const struct { unsigned long command; const char *name; } all[] = {
    {FIGETBSZ, "FIGETBSZ"}, {FIONREAD, "FIONREAD"}, {FS_IOC_GETFLAGS, "FS_IOC_GETFLAGS"}, {FS_IOC_FSGETXATTR, "FS_IOC_FSGETXATTR"},
    {0x1234, "0x1234"}, {TCGETS, "TCGETS"}, {TIOCGWINSZ, "TIOCGWINSZ"}, {FS_IOC_SETFLAGS, "FS_IOC_SETFLAGS"}, {FIONBIO, "FIONBIO"},
  };
  int fd = draw_slot();
  unsigned which = draw(9);
  // No dump, no access times, casefold (an error). LIMITS: "immutable and append-only files" are left out.
  static const int flags[] = {0, 0, 0, 0, 0x40, 0x80, 0x40000000};
  int argument[64] = {PICK(flags)};
  if (all[which].command == FIONBIO) argument[0] = 0;
  say_call("ioctl(fd%d, %s, %x)", fd - SLOT_FIRST, all[which].name, argument[0]);
  if (all[which].command == FIONREAD && fd_may_block(fd)) return;
  if (all[which].command == FS_IOC_SETFLAGS) {
    // The other flags stay: taking the extents away works or not depending on where blocks happen to be.
    int before = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &before) == 0) argument[0] |= before & ~0xc0;
  }
  gave(ioctl(fd, all[which].command, argument));
  // LIMITS: "the block size that FIGETBSZ tells".
  if (all[which].command == FIGETBSZ && now->err == EINVAL) now->ret = now->err = 0;
  if (now->ret < 0) return;
  if (which == 1 || which == 2) tell(" value=%x", argument[0]);
  if (which == 3) tell(" xflags=%x", (unsigned)argument[0]);
}

static void call_poll(void) {
  struct pollfd polled = {.fd = draw_slot(), .events = POLLIN | POLLOUT | POLLPRI};
  say_call("poll(fd%d)", polled.fd - SLOT_FIRST);
  gave(poll(&polled, 1, 0));
  tell(" revents=%x", polled.revents);
}

static void call_inotify(void) {
  char path[PATH_BYTES], name[260];
  static char events[4096];
  unsigned what = draw(4);
  mode_t mode = PICK(modes);
  draw_path(path);
  draw_name(name);
  say_call("inotify(%s) while action %u on %s", shown(path), what, shown(name));
  int notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  gave(inotify_add_watch(notify, path, IN_ALL_EVENTS & ~(IN_ACCESS | IN_MODIFY)) < 0 ? -1 : 0);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    if (what == 0) close(openat(fd, name, O_CREAT | O_WRONLY | O_NONBLOCK | O_CLOEXEC, mode));
    else if (what == 1) unlinkat(fd, name, 0);
    else if (what == 2) mkdirat(fd, name, mode);
    else fchmodat(fd, name, mode, 0);
    close(fd);
  }
  long got = read(notify, events, sizeof events);
  for (long at = 0; at < got;) {
    struct inotify_event *event = (struct inotify_event *)(events + at);
    tell(" %x:%s", event->mask, event->len > 0 ? shown(event->name) : "");
    at += (long)(sizeof *event + event->len);
  }
  close(notify);
}

static void call_exec(void) {
  char path[PATH_BYTES];
  int dir = draw_dir(), err = 0, pipes[2];
  draw_path(path);
  say_call("execveat(%s, %s)", shown_dir(dir), shown(path));
  if (pipe2(pipes, O_CLOEXEC) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    char *const none[] = {"none", NULL};
    timer(true);
    syscall(SYS_execveat, dir, path, none, none, 0);
    err = errno;
    _exit(write(pipes[1], &err, sizeof err) == sizeof err ? 0 : 1);
  }
  close(pipes[1]);
  if (read(pipes[0], &err, sizeof err) != sizeof err) err = 0;
  close(pipes[0]);
  waitpid(pid, NULL, 0);
  errno = err;
  gave(-1);
}

static void call_lease(void) {
  static const int all[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  int fd = draw_slot(), type = PICK(all);
  say_call("fcntl(fd%d, F_SETLEASE, %d); F_UNLCK", fd - SLOT_FIRST, type);
  gave(fcntl(fd, F_SETLEASE, type));
  if (now->ret == 0) fcntl(fd, F_SETLEASE, F_UNLCK);
}

/* What a sequence starts from, so that its first steps already meet something. */
static void call_start(void) {
  say_call("a, b: directories; c, a/c, b/a: files; d: symlink to a/c; fd0: c; fd1: a; fd2: a/c; fd3: /");
  static const char *const files[] = {"c", "a/c", "b/a"};
  mode_t before = umask(0);
  gave(mkdir("a", 0777) | mkdir("b", 0777) | symlink("a/c", "d"));
  fill(20000);
  for (int i = 0; i < 3; i++) {
    int fd = open(files[i], O_CREAT | O_RDWR, 0666);
    if (write(fd, data, 20000) != 20000) gave(-1);
    keep_fd(fd, SLOT_FIRST + 2 * i);
  }
  keep_fd(open("a", O_RDONLY | O_DIRECTORY), SLOT_FIRST + 1);
  keep_fd(open("/", O_RDONLY | O_DIRECTORY), SLOT_FIRST + 3);
  umask(before);
}

struct call {
  const char *name;
  void (*make)(void);
  unsigned weight;
  bool writes; /* data, past the daemon where it can */
};

static const struct call calls[] = {
  {"open", call_open, 60, false}, {"creat", call_creat, 6, false}, {"openat2", call_openat2, 10, false}, {"reopen", call_reopen, 6, false},
  {"close", call_close, 10, false}, {"dup", call_dup, 4, false}, {"read", call_read, 12, false}, {"pread", call_pread, 12, false},
  {"write", call_write, 18, true}, {"pwrite", call_pwrite, 14, true}, {"readv", call_readv, 5, false}, {"writev", call_writev, 6, true},
  {"preadv2", call_preadv2, 5, false}, {"pwritev2", call_pwritev2, 6, true}, {"lseek", call_lseek, 12, false}, {"truncate", call_truncate, 8, false},
  {"ftruncate", call_ftruncate, 10, false}, {"fallocate", call_fallocate, 12, false}, {"copy_file_range", call_copy_file_range, 8, false},
  {"sendfile", call_sendfile, 5, true}, {"splice", call_splice, 5, true}, {"sync", call_sync, 4, false}, {"fadvise", call_advise, 3, false},
  {"mmap", call_mmap, 10, true}, {"mapped", call_mapped, 6, true}, {"stat", call_stat, 16, false}, {"statx", call_statx, 8, false},
  {"statfs", call_statfs, 2, false}, {"access", call_access, 12, false}, {"chmod", call_chmod, 14, false}, {"chown", call_chown, 14, false},
  {"utimens", call_utimens, 12, false}, {"umask", call_umask, 4, false}, {"link", call_link, 16, false}, {"symlink", call_symlink, 10, false},
  {"readlink", call_readlink, 6, false}, {"unlink", call_unlink, 14, false}, {"rename", call_rename, 20, false}, {"mkdir", call_mkdir, 22, false},
  {"mknod", call_mknod, 12, false}, {"bind", call_bind, 5, false}, {"setxattr", call_setxattr, 14, false}, {"getxattr", call_getxattr, 8, false},
  {"listxattr", call_listxattr, 5, false}, {"removexattr", call_removexattr, 6, false}, {"xattrat", call_xattrat, 4, false},
  {"getdents", call_getdents, 6, false}, {"list", call_list, 6, false}, {"list changing", call_list_changing, 4, false},
  {"seekdir", call_seekdir, 3, false}, {"chdir", call_chdir, 6, false}, {"getcwd", call_getcwd, 3, false}, {"flock", call_flock, 4, false},
  {"lock", call_lock, 6, false}, {"fcntl", call_fcntl, 6, false}, {"ioctl", call_ioctl, 8, false}, {"poll", call_poll, 3, false},
  {"inotify", call_inotify, 4, false}, {"exec", call_exec, 4, false}, {"lease", call_lease, 2, false}, {"start", call_start, 0, false},
};
#define CALL_COUNT (sizeof calls / sizeof *calls)

/* Which call step `index` of a seed makes; leaves the state of chance where its arguments begin. */
static const struct call *step_call(uint64_t seed, int index) {
  unsigned total = 0;
  random_state = mix(seed ^ mix((uint64_t)index + 1));
  if (index < 0) return &calls[CALL_COUNT - 1];
  for (size_t i = 0; i < CALL_COUNT; i++) total += calls[i].weight;
  unsigned at = draw(total);
  for (size_t i = 0; i < CALL_COUNT; i++) {
    if (at < calls[i].weight) return &calls[i];
    at -= calls[i].weight;
  }
  return &calls[0];
}
