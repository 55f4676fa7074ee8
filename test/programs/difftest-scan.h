/* A tree as text: everything that programs can see of it. Run as root, inside the tree. */

struct known_file {
  ino_t ino;
  int first;
  struct timespec changed, modified, accessed;
};
static struct known_file known_files[600];
static int known_count;
static bool tells_times, marks_times, reports_times, tells_blocks;
#define MARKED_ATIME 1000000000
#define MARKED_MTIME 1000000001

static struct known_file *known_file(ino_t ino) {
  for (int i = 0; i < known_count; i++) {
    if (known_files[i].ino == ino) return &known_files[i];
  }
  return NULL;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void scan_content(int fd, off_t size) {
  static char buffer[1 << 16];
  uint64_t hash = HASH_START;
  off_t at = 0;
  while (at < size) {
    ssize_t got = pread(fd, buffer, sizeof buffer, at);
    if (got <= 0) {
      tell(" read-errno=%d", got < 0 ? errno : 0);
      break;
    }
    hash = hash_bytes(buffer, (size_t)got, hash);
    at += got;
    // Of a huge file (which is a hole for the most part) the start and the end will do.
    if (at >= 1 << 20 && at < size - (1 << 16) && size > 4 << 20) at = size - (1 << 16);
  }
  tell(" content=%016llx", (unsigned long long)hash);
}

static void scan_xattrs(const char *path) {
  static char names[1 << 16], value[1 << 16];
  ssize_t length = llistxattr(path, names, sizeof names);
  if (length < 0) {
    if (errno != ENOTSUP) tell(" xattrs=errno %d", errno);
    return;
  }
  char *sorted[200];
  size_t count = 0;
  for (char *at = names; at < names + length && count < 200; at += strlen(at) + 1) sorted[count++] = at;
  qsort(sorted, count, sizeof *sorted, by_name);
  for (size_t i = 0; i < count; i++) {
    ssize_t got = lgetxattr(path, sorted[i], value, sizeof value);
    uint64_t hash = got < 0 ? (uint64_t)errno : hash_bytes(value, (size_t)got, HASH_START);
    tell(" %s=%zd:%08x", shown(sorted[i]), got, (unsigned)hash);
  }
}

static bool is_now(struct timespec t) { return llabs((long long)t.tv_sec - (long long)time(NULL)) < 3000; }

static bool differs(struct timespec a, struct timespec b) {
  return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

enum scan_kind { SCAN_TREE, SCAN_TREE_BLOCKS, SCAN_MARK, SCAN_REPORT, SCAN_REPORT_COPY, SCAN_REPORT_READ_DIR, SCAN_REPORT_FLAGS };
static enum scan_kind scanning;

/* LIMITS: "the source of copy_file_range", "sendfile and splice from a directory", "listings", and "cached reads". */
static bool ignores_reading(mode_t mode) {
  if (!passthrough && S_ISREG(mode)) return true;
  return scanning == SCAN_REPORT_COPY || (scanning == SCAN_REPORT_READ_DIR && S_ISDIR(mode));
}

static void scan_times(const struct stat *info, const char *path) {
  struct known_file *known = known_file(info->st_ino);
  // LIMITS: "times of FIFOs".
  if (S_ISFIFO(info->st_mode) && !marks_times) return;
  if (reports_times) {
    if (known == NULL || known->changed.tv_sec == 0) {
      tell(" times=new");
      return;
    }
    // LIMITS: "access times of symlinks".
    bool reads = !S_ISLNK(info->st_mode) && !ignores_reading(info->st_mode) && differs(info->st_atim, known->accessed);
    bool modified = differs(info->st_mtim, known->modified);
    bool changed = scanning != SCAN_REPORT_FLAGS && differs(info->st_ctim, known->changed);
    // All of them: as likely as not another file, which happens to have the number of one that was removed.
    bool may_be_read = ignores_reading(info->st_mode) || differs(info->st_atim, known->accessed);
    if (may_be_read && modified && changed) tell(" times=new");
    else tell(" times=%s%s%s", reads ? "A" : "-", modified ? "M" : "-", changed ? "C" : "-");
  } else if (marks_times) {
    struct timespec times[2] = {{MARKED_ATIME, 0}, {MARKED_MTIME, 0}};
    struct stat after;
    utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
    if (known != NULL && lstat(path, &after) == 0) {
      known->changed = after.st_ctim;
      known->modified = after.st_mtim;
      known->accessed = after.st_atim;
    }
  } else if (tells_times) {
    // Of the present, only that it is the present; when exactly is what marks and reports are for.
    if (!is_now(info->st_mtim)) tell(" mtime=%lld.%09ld", (long long)info->st_mtim.tv_sec, info->st_mtim.tv_nsec);
  }
}

static int path_count;

static void scan_below(const char *path, int depth) {
  struct stat info;
  if (lstat(path, &info) != 0) {
    tell("%s errno=%d\n", shown(path), errno);
    return;
  }
  struct known_file *known = known_file(info.st_ino);
  if (known == NULL && known_count < 600 && !reports_times) {
    known = &known_files[known_count++];
    memset(known, 0, sizeof *known);
    known->ino = info.st_ino;
    known->first = path_count;
  }
  path_count++;
  tell("%s %o uid=%u gid=%u nlink=%lu", shown(path), known_mode(info.st_mode), info.st_uid, info.st_gid, (unsigned long)info.st_nlink);
  if (!reports_times && known != NULL) tell(" same-as=%d", known->first);
  if (!S_ISDIR(info.st_mode)) tell(" size=%lld", (long long)info.st_size);
  if (tells_blocks && S_ISREG(info.st_mode)) tell(" blocks=%lld", (long long)info.st_blocks);
  if (info.st_rdev != 0) tell(" rdev=%u:%u", major(info.st_rdev), minor(info.st_rdev));
  scan_times(&info, path);
  if (!marks_times && !reports_times) {
    scan_xattrs(path);
    if (S_ISREG(info.st_mode)) {
      int fd = open(path, O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK);
      if (fd < 0) tell(" open-errno=%d", errno);
      else scan_content(fd, info.st_size), close(fd);
    }
    if (S_ISLNK(info.st_mode)) {
      char target[PATH_BYTES];
      ssize_t length = readlink(path, target, sizeof target - 1);
      target[length < 0 ? 0 : length] = 0;
      tell(" -> %s", shown(target));
    }
  }
  tell("\n");
  if (!S_ISDIR(info.st_mode) || depth > 5) return;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOATIME | O_NOFOLLOW);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (directory == NULL) {
    tell("%s cannot be listed: %d\n", shown(path), errno);
    return;
  }
  char *names[400];
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL && count < 400;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names[count++] = strdup(entry->d_name);
  }
  closedir(directory);
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    char *below = malloc(strlen(path) + strlen(names[i]) + 2);
    sprintf(below, "%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]);
    if (strlen(below) < 4000) scan_below(below, depth + 1);
    free(below);
    free(names[i]);
  }
}


static void scan(enum scan_kind kind) {
  tells_times = kind == SCAN_TREE || kind == SCAN_TREE_BLOCKS;
  tells_blocks = kind == SCAN_TREE_BLOCKS;
  marks_times = kind == SCAN_MARK;
  reports_times = kind >= SCAN_REPORT;
  scanning = kind;
  path_count = 0;
  if (!reports_times) known_count = 0;
  if (tells_blocks) sync();
  scan_below("/", 0);
}
