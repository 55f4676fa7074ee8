/*
 * Makes the same random system calls in a plain directory and in a mount of its twin, step by step, as root and as
 * several other users, and compares what comes of them: results, errno values, data, attributes, which times
 * changed, and the trees.
 *
 *     difftest PLAIN MOUNT BACKING [--seed N] [--seconds N] [--steps N] [--sequences N] [--only=I,J,...]
 *              [--differences N] [--again TEXT] [--through-daemon] [--native] [--list]
 *
 * PLAIN and BACKING are empty directories of one file system, MOUNT shows BACKING. A difference is cut down to the
 * steps it takes and printed; exit code 1. Everything follows from the seed: sequence k of a run has seed N + k, and
 * --seed N --only=I,J,... repeats some steps of one sequence. Root only.
 */
#include "difftest-world.h"
#include "difftest-scan.h"
#include "difftest-calls.h"

/* ------------------------------------------------------------------------------------------------ who acts */

struct actor {
  const char *name;
  uid_t uid;
  gid_t gid;
  gid_t groups[2];
  size_t group_count;
  bool has_own_files; /* else descriptors are shared with root */
  bool draws_capabilities;
  unsigned weight;
};

static const struct actor actors[] = {
  {"root", 0, 0, {0}, 0, false, false, 40},
  {"alice", 4001, 4001, {4010}, 1, false, false, 20},
  {"bob", 4002, 4002, {4010, 4011}, 2, false, false, 14},
  {"carol", 4003, 4010, {0}, 0, true, false, 10},
  {"some-capabilities", 4005, 4005, {0}, 0, false, true, 8},
  {"weak-root", 0, 0, {0}, 0, false, true, 8},
};
#define ACTOR_COUNT ((int)(sizeof actors / sizeof *actors))

static const int drawn_capabilities[] = {
  CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_LINUX_IMMUTABLE, CAP_SYS_ADMIN,
};

static void die(const char *what) {
  perror(what);
  exit(3);
}

static void become(const struct actor *actor, uint64_t seed) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2] = {{0}};
  uint32_t kept = 0;
  for (size_t i = 0; i < sizeof drawn_capabilities / sizeof *drawn_capabilities; i++) {
    if ((mix(seed + actor->weight) >> i & 1) != 0) kept |= 1u << drawn_capabilities[i];
  }
  // LIMITS: "chown of a setuid file" with CAP_CHOWN alone.
  if ((kept & 1u << CAP_CHOWN) != 0) kept |= 1u << CAP_FOWNER;
  if (actor->uid == 0 && !actor->draws_capabilities) return;
  if (actor->draws_capabilities) prctl(PR_SET_KEEPCAPS, 1);
  if (setgroups(actor->group_count, actor->groups) != 0) die("setgroups");
  if (setresgid(actor->gid, actor->gid, actor->gid) != 0) die("setresgid");
  if (setresuid(actor->uid, actor->uid, actor->uid) != 0) die("setresuid");
  if (!actor->draws_capabilities) return;
  sets[0].effective = sets[0].permitted = kept;
  if (syscall(SYS_capset, &header, sets) != 0) die("capset");
}

/* Puts a capability into the effective set, if it is permitted, or takes it out. */
static void set_capability(int capability, bool on) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2];
  if (syscall(SYS_capget, &header, sets) != 0) die("capget");
  uint32_t bit = 1u << capability;
  if (on) sets[0].effective |= sets[0].permitted & bit;
  else sets[0].effective &= ~bit;
  if (syscall(SYS_capset, &header, sets) != 0) die("capset");
}

/* ------------------------------------------------------------------------------------------------ processes */

enum { DO_STEP, DO_SCAN, DO_END };

struct command {
  int what;
  int scan;
  int index;
  uint64_t seed;
};

struct world {
  struct outcome *outcome;
  pid_t leader;
  int to[8], from;
};

static struct world worlds[3];
static const char *roots[3];
static uint64_t sequence_seed;

static void carry_out(const struct command *command) {
  now->ret = 0;
  now->err = 0;
  now->length = 0;
  now->call[0] = now->text[0] = 0;
  if (command->what == DO_SCAN) {
    scan((enum scan_kind)command->scan);
    return;
  }
  const struct call *call = step_call(command->seed, command->index);
  // LIMITS: "writing takes setuid and setgid bits away, also when root writes".
  bool loses_setid = passthrough && !both_native && call->writes;
  // On the mount nothing changes, but linkat with AT_EMPTY_PATH asks whether credentials have been set meanwhile.
  if (loses_setid) set_capability(CAP_FSETID, side != PLAIN);
  call->make();
  if (loses_setid) set_capability(CAP_FSETID, true);
}

static void serve(int in, int out) {
  struct command command;
  while (read(in, &command, sizeof command) == sizeof command && command.what != DO_END) {
    carry_out(&command);
    if (write(out, "x", 1) != 1) break;
  }
}

static void lead(const char *root, const int *in, int out) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  struct sigaction interrupting = {.sa_handler = nothing};
  sigaction(SIGALRM, &interrupting, NULL);
  proc_fd = fcntl(open("/proc", O_PATH | O_DIRECTORY), F_DUPFD, 100);
  if (chroot(root) != 0 || chdir("/") != 0) die(root);
  umask(022);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 1; i < ACTOR_COUNT; i++) {
    long pid = syscall(SYS_clone, (actors[i].has_own_files ? 0 : CLONE_FILES) | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0) die("clone");
    if (pid != 0) continue;
    become(&actors[i], sequence_seed);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(in[i], out);
    _exit(0);
  }
  serve(in[0], out);
  while (wait(NULL) > 0) {
  }
  _exit(0);
}

static int high(int fd) {
  int result = fcntl(fd, F_DUPFD_CLOEXEC, 110);
  close(fd);
  return result;
}

static void start_world(int which) {
  struct world *world = &worlds[which];
  int in[8], result[2], pair[2];
  for (int i = 0; i < ACTOR_COUNT; i++) {
    if (pipe2(pair, O_CLOEXEC) != 0) die("pipe");
    in[i] = high(pair[0]);
    world->to[i] = high(pair[1]);
  }
  if (pipe2(result, O_CLOEXEC) != 0) die("pipe");
  result[0] = high(result[0]);
  result[1] = high(result[1]);
  world->leader = fork();
  if (world->leader == 0) {
    side = both_native ? PLAIN : which;
    now = world->outcome;
    for (int i = 0; i < ACTOR_COUNT; i++) close(world->to[i]);
    close(result[0]);
    lead(roots[which], in, result[1]);
  }
  for (int i = 0; i < ACTOR_COUNT; i++) close(in[i]);
  close(result[1]);
  world->from = result[0];
}

static void send_command(int which, int actor, struct command command) {
  if (write(worlds[which].to[actor], &command, sizeof command) != sizeof command) die("write");
}

static void end_world(int which) {
  struct world *world = &worlds[which];
  for (int i = ACTOR_COUNT - 1; i >= 0; i--) {
    struct command command = {.what = DO_END};
    if (write(world->to[i], &command, sizeof command) != sizeof command) continue;
    close(world->to[i]);
  }
  waitpid(world->leader, NULL, 0);
  close(world->from);
}

/* @returns false if a process does not answer any more. */
static bool await_world(int which) {
  struct pollfd polled = {.fd = worlds[which].from, .events = POLLIN};
  char byte;
  int ready;
  do ready = poll(&polled, 1, 40000);
  while (ready < 0 && errno == EINTR);
  return ready == 1 && read(worlds[which].from, &byte, 1) == 1;
}

/* ------------------------------------------------------------------------------------------------ sequences */

struct failure {
  int position; /* in the list of steps; -1 for none */
  const char *stage, *call;
  char *report;
};

static int run_count;
static bool prints_steps;
static bool last_failed, failed[2100]; /* what the steps of the last sequence gave, by position */
static long steps_done, steps_succeeded[CALL_COUNT], steps_of_kind[CALL_COUNT];

static void append(struct failure *failure, const char *format, ...) {
  va_list arguments;
  if (failure->report == NULL) failure->report = calloc(1, 1 << 20);
  size_t used = strlen(failure->report);
  va_start(arguments, format);
  vsnprintf(failure->report + used, (1 << 20) - used, format, arguments);
  va_end(arguments);
}

static const char *shown_errno(const struct outcome *outcome) {
  return outcome->ret == -1 && outcome->err != 0 ? strerrorname_np(outcome->err) : "";
}

/* The lines that are not the same in both texts. */
static void append_lines(struct failure *failure, const char *first, const char *second, const char *a, const char *b) {
  int count = 0;
  while ((*a != 0 || *b != 0) && count < 12) {
    size_t a_length = strcspn(a, "\n"), b_length = strcspn(b, "\n");
    if (a_length != b_length || memcmp(a, b, a_length) != 0) {
      append(failure, "      %-8s%.*s\n      %-8s%.*s\n", first, (int)a_length, a, second, (int)b_length, b);
      count++;
    }
    a += a_length + (a[a_length] != 0);
    b += b_length + (b[b_length] != 0);
  }
}

static bool equal_texts(int a, int b) {
  const struct outcome *first = worlds[a].outcome, *second = worlds[b].outcome;
  return first->length == second->length && memcmp(first->text, second->text, first->length) == 0;
}

static int draw_actor(uint64_t seed, int index) {
  unsigned total = 0, at;
  if (index < 0) return 0;
  random_state = mix(seed * 31 + (uint64_t)index);
  for (int i = 0; i < ACTOR_COUNT; i++) total += actors[i].weight;
  at = draw(total);
  for (int i = 0; i < ACTOR_COUNT; i++) {
    if (at < actors[i].weight) return i;
    at -= actors[i].weight;
  }
  return 0;
}

static bool scan_both(enum scan_kind kind, const char *stage, struct failure *failure) {
  for (int which = PLAIN; which <= MOUNT; which++) send_command(which, 0, (struct command){.what = DO_SCAN, .scan = (int)kind});
  for (int which = PLAIN; which <= MOUNT; which++) {
    if (await_world(which)) continue;
    failure->stage = "hang";
    append(failure, "      the scan of %s does not end\n", which == PLAIN ? "the directory" : "the mount");
    return false;
  }
  if (kind == SCAN_MARK || equal_texts(PLAIN, MOUNT)) return true;
  failure->stage = stage;
  append(failure, "    the %s differ:\n", stage);
  append_lines(failure, "plain", "mount", worlds[PLAIN].outcome->text, worlds[MOUNT].outcome->text);
  return false;
}

enum shown { SAME, DIFFERENT, NO_ANSWER };

static enum shown compare_backing(enum scan_kind kind) {
  start_world(BACKING);
  send_command(BACKING, 0, (struct command){.what = DO_SCAN, .scan = (int)kind});
  send_command(MOUNT, 0, (struct command){.what = DO_SCAN, .scan = (int)kind});
  bool answered = await_world(BACKING) && await_world(MOUNT);
  end_world(BACKING);
  return !answered ? NO_ANSWER : equal_texts(BACKING, MOUNT) ? SAME : DIFFERENT;
}

/* LIMITS: "changes behind its back". Writing back may take a block for the list of extents: shown a second later. */
static enum shown compare_blocks(void) {
  enum shown first = compare_backing(SCAN_TREE_BLOCKS);
  if (first != DIFFERENT) return first;
  struct timespec cache_time = {1, 200000000};
  nanosleep(&cache_time, NULL);
  return compare_backing(SCAN_TREE_BLOCKS);
}

/* The backing directory itself must be what the mount shows. */
static bool scan_backing(struct failure *failure) {
  enum shown shown = compare_backing(SCAN_TREE);
  if (shown == SAME) shown = compare_blocks();
  if (shown == SAME) return true;
  failure->stage = "backing trees";
  append(failure, "    the mount does not show what is in the backing directory:\n");
  append_lines(failure, "backing", "mount", worlds[BACKING].outcome->text, worlds[MOUNT].outcome->text);
  return false;
}

static void past_a_tick(void) {
  struct timespec moment = {0, 5000000};
  nanosleep(&moment, NULL);
}

static bool step(uint64_t seed, int index, bool always_scans, struct failure *failure) {
  const struct call *call = step_call(seed, index);
  int actor = draw_actor(seed, index);
  bool watched = mix(seed ^ ((uint64_t)index << 20)) % 8 == 0;
  failure->call = call->name;
  if (watched) {
    if (!scan_both(SCAN_MARK, "marks", failure)) return false;
    past_a_tick();
  }
  for (int which = PLAIN; which <= MOUNT; which++) send_command(which, actor, (struct command){.what = DO_STEP, .index = index, .seed = seed});
  for (int which = PLAIN; which <= MOUNT; which++) {
    if (await_world(which)) continue;
    failure->stage = "hang";
    append(failure, "  %5d %s: %s\n      does not return on %s\n", index, actors[actor].name, worlds[which].outcome->call, which == PLAIN ? "the directory" : "the mount");
    return false;
  }
  const struct outcome *plain = worlds[PLAIN].outcome, *mount = worlds[MOUNT].outcome;
  last_failed = plain->ret == -1;
  steps_done++;
  steps_of_kind[call - calls]++;
  if (plain->ret != -1) steps_succeeded[call - calls]++;
  append(failure, "  %5d %s: %s = %ld %s\n", index, actors[actor].name, plain->call, plain->ret, shown_errno(plain));
  if (prints_steps) printf("  %5d %s: %s = %ld %s%s\n", index, actors[actor].name, plain->call, plain->ret, shown_errno(plain), plain->text);
  if (plain->ret != mount->ret || plain->err != mount->err || !equal_texts(PLAIN, MOUNT)) {
    failure->stage = "results";
    append(failure, "      plain   %ld %s%s\n      mount   %ld %s%s\n", plain->ret, shown_errno(plain), plain->text, mount->ret,
           shown_errno(mount), mount->text);
    return false;
  }
  enum scan_kind kind = SCAN_REPORT;
  static const char *const read_dir[] = {"sendfile", "splice", "getdents", "list", "list changing", "seekdir"};
  for (size_t i = 0; i < sizeof read_dir / sizeof *read_dir; i++)
    if (strcmp(call->name, read_dir[i]) == 0) kind = SCAN_REPORT_READ_DIR;
  if (strcmp(call->name, "copy_file_range") == 0) kind = SCAN_REPORT_COPY;
  // LIMITS: "the change time after chattr".
  if (strcmp(call->name, "ioctl") == 0) kind = SCAN_REPORT_FLAGS;
  if (watched && !scan_both(kind, "times", failure)) return false;
  if (always_scans || index % 25 == 24) return scan_both(SCAN_TREE, "trees", failure);
  return true;
}

static void command_line(const char *format, const char *argument) {
  char command[4600];
  snprintf(command, sizeof command, format, argument, argument);
  if (system(command) != 0) fprintf(stderr, "difftest: %s\n", command);
}

static const char *directories[3];

static void make_roots(uint64_t seed) {
  static const mode_t kinds[] = {0777, 0777, 01777, 02777, 03777};
  mode_t mode = kinds[mix(seed) % 5];
  for (int which = PLAIN; which <= BACKING; which++) {
    char *root = malloc(4200);
    sprintf(root, "%s/run%d", directories[which], run_count);
    free((void *)(uintptr_t)roots[which]);
    roots[which] = root;
    if (which == BACKING) continue;
    if (mkdir(root, 0700) != 0 || chown(root, 0, mode & 02000 ? 4010 : 0) != 0 || chmod(root, mode) != 0) die(root);
  }
  run_count++;
}

static void remove_roots(void) {
  for (int which = PLAIN; which <= MOUNT; which++) {
    command_line("rm -rf '%s' 2>/dev/null || { find '%s' -type f -o -type d | xargs -d '\\n' chattr -f -i -a; true; }", roots[which]);
    if (access(roots[which], F_OK) == 0) command_line("rm -rf '%s'", roots[which]);
  }
}

static struct failure run_sequence(uint64_t seed, const int *steps, int count, bool always_scans) {
  struct failure failure = {.position = -1};
  sequence_seed = seed;
  make_roots(seed);
  start_world(PLAIN);
  start_world(MOUNT);
  for (int i = 0; i < count && failure.position < 0; i++) {
    if (!step(seed, steps[i], always_scans, &failure)) failure.position = i;
    failed[i] = last_failed;
  }
  if (failure.position < 0 && (!scan_both(SCAN_TREE, "trees", &failure) || !scan_backing(&failure))) failure.position = count - 1;
  if (failure.stage != NULL && strcmp(failure.stage, "hang") == 0) {
    for (int which = PLAIN; which <= MOUNT; which++) kill(worlds[which].leader, SIGKILL);
    fprintf(stderr, "%s", failure.report);
    exit(1);
  }
  end_world(PLAIN);
  end_world(MOUNT);
  remove_roots();
  return failure;
}

static bool is_same(const struct failure *a, const struct failure *b) {
  return b->position >= 0 && strcmp(a->stage, b->stage) == 0 && strcmp(a->call, b->call) == 0;
}

static void release(struct failure *failure) {
  free(failure->report);
  failure->report = NULL;
}

/* Leaves out whatever the difference does not need. @returns how many steps are left. */
static int shrink(uint64_t seed, int *steps, int count, struct failure *failure) {
  struct failure exact = run_sequence(seed, steps, count, true);
  bool scans = exact.position >= 0;
  if (scans) {
    release(failure);
    *failure = exact;
    count = exact.position + 1;
  }
  time_t end = time(NULL) + 40;
  int *trial = malloc((size_t)count * sizeof *trial);
  // What failed has mostly done nothing.
  int kept = 0;
  for (int i = 0; i < count; i++) {
    if (!failed[i] || i == count - 1) trial[kept++] = steps[i];
  }
  struct failure shorter = run_sequence(seed, trial, kept, scans);
  if (is_same(failure, &shorter)) {
    count = shorter.position + 1;
    memcpy(steps, trial, (size_t)count * sizeof *steps);
    release(failure);
    *failure = shorter;
  } else {
    release(&shorter);
  }
  for (int size = count / 2; size >= 1 && time(NULL) < end; size = size > 1 ? size / 2 : 0) {
    for (int start = 0; start < count - 1 && time(NULL) < end;) {
      int left = 0;
      for (int i = 0; i < count; i++) {
        if (i < start || i >= start + size || i == count - 1) trial[left++] = steps[i];
      }
      struct failure again = run_sequence(seed, trial, left, scans);
      if (left < count && is_same(failure, &again)) {
        memcpy(steps, trial, (size_t)left * sizeof *steps);
        count = again.position + 1;
        release(failure);
        *failure = again;
      } else {
        release(&again);
        start += size;
      }
    }
  }
  free(trial);
  return count;
}

static const char *again = "difftest PLAIN MOUNT BACKING";

static void report(uint64_t seed, const int *steps, int count, const struct failure *failure) {
  printf("DIFFERENCE seed=%llu stage=%s call=%s\n%s  again: %s --seed %llu --only=", (unsigned long long)seed,
         failure->stage, failure->call, failure->report, again, (unsigned long long)seed);
  for (int i = 0; i < count; i++) printf("%s%d", i > 0 ? "," : "", steps[i]);
  printf("\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  uint64_t seed = (uint64_t)time(NULL);
  long seconds = 20;
  int step_count = 300, only[2000], only_count = 0, differences = 0, differences_max = 1, sequences_max = INT_MAX;
  if (argc < 4) return 2;
  for (int i = 0; i < 3; i++) directories[i] = argv[i + 1];
  for (int i = 4; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--through-daemon") == 0) passthrough = false;
    else if (strcmp(argv[i], "--native") == 0) both_native = true;
    else if (strcmp(argv[i], "--list") == 0) prints_steps = true;
    else if (strcmp(argv[i], "--seed") == 0) seed = strtoull(value, NULL, 10), i++;
    else if (strcmp(argv[i], "--seconds") == 0) seconds = atol(value), i++;
    else if (strcmp(argv[i], "--again") == 0) again = value, i++;
    else if (strcmp(argv[i], "--sequences") == 0) sequences_max = atoi(value), i++;
    else if (strcmp(argv[i], "--steps") == 0) step_count = atoi(value), i++;
    else if (strcmp(argv[i], "--differences") == 0) differences_max = atoi(value), i++;
    else if (strncmp(argv[i], "--only=", 7) == 0) {
      for (char *at = argv[i] + 7; *at != 0 && only_count < 2000; at += *at == ',') only[only_count++] = (int)strtol(at, &at, 10);
    } else return fprintf(stderr, "difftest: what is %s?\n", argv[i]), 2;
  }
  for (int i = 0; i < 3; i++) {
    worlds[i].outcome = mmap(NULL, sizeof(struct outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (worlds[i].outcome == MAP_FAILED) die("mmap");
  }
  struct statfs below;
  on_tmpfs = statfs(directories[PLAIN], &below) == 0 && below.f_type == 0x01021994;
  umask(0);
  time_t end = time(NULL) + seconds;
  int sequences = 0;
  for (uint64_t current = seed;; current++) {
    int *steps = malloc((size_t)(step_count + only_count) * sizeof *steps), count = only_count;
    for (int i = 0; i < only_count; i++) steps[i] = only[i];
    if (only_count == 0) for (; count < step_count; count++) steps[count] = count - 1;
    struct failure failure = run_sequence(current, steps, count, only_count > 0);
    sequences++;
    if (failure.position >= 0) {
      count = only_count > 0 ? failure.position + 1 : shrink(current, steps, failure.position + 1, &failure);
      report(current, steps, count, &failure);
      differences++;
    }
    release(&failure);
    free(steps);
    if (differences >= differences_max || only_count > 0 || sequences >= sequences_max || time(NULL) >= end) break;
  }
  size_t kinds = 0;
  for (size_t i = 0; i < CALL_COUNT; i++) {
    kinds += steps_of_kind[i] > 0;
    if (prints_steps) printf("%-18s %ld of %ld succeeded\n", calls[i].name, steps_succeeded[i], steps_of_kind[i]);
  }
  printf("%s %ld steps in %d sequences from seed %llu, %zu kinds of calls\n", differences == 0 ? "ok" : "FAIL", steps_done,
         sequences, (unsigned long long)seed, kinds);
  return differences == 0 ? 0 : 1;
}
