/**
 * What a scenario is: a small program for several processes about leases and pins, with what must come of each
 * line. Plain data, so that the same scenario is played in the model and on a mount, every order of its lines
 * can be explored, and one that was found can be printed. docs/LITMUS.md has the language it is written in.
 */

/** `L1` to `R4`: a rule of docs/SEMANTICS.md. */
export type RuleName = string

/** Names are words of the scenario: processes, descriptors, leases, pins, contexts, mappings, waiting lines. */
export type Name = string

/** Bytes `[start, end)`; `end: null` is the end of the file, wherever that is. */
export interface Bytes {
  readonly start: number
  readonly end: number | null
}

export const WHOLE_FILE: Bytes = { start: 0, end: null }

/** Whose process it is. `alice` and `bob` are ordinary users who share no group. */
export type User = 'root' | 'alice' | 'bob'

export interface FileSpec {
  readonly name: Name
  readonly sizeBytes: number
  readonly owner: User
  /** Permission bits. */
  readonly mode: number
}

export interface ProcessSpec {
  readonly name: Name
  readonly user: User
}

/** Of the mount that the scenario is played on. */
export interface MountSpec {
  readonly breakTimeMs: number
  readonly onTimeout: 'revoke' | 'kill'
  readonly leaseCountMax: number
  readonly pinCountMax: number
}

/** Short, so that a deadline can pass on a real mount too; long enough that nothing passes by accident. */
export const DEFAULT_MOUNT: MountSpec = {
  breakTimeMs: 600,
  onTimeout: 'revoke',
  leaseCountMax: 100_000,
  pinCountMax: 100_000,
}

/** `past` opens the backing file, past the mount: as another link or a mount namespace without it would (L10). */
export type OpenFlag = 'rdonly' | 'wronly' | 'rdwr' | 'trunc' | 'nonblock' | 'past'
export type RangeChange = 'punch' | 'zero' | 'collapse' | 'insert' | 'unshare' | 'write-zeroes'
export type WhenBusy = 'fail' | 'wait' | 'start'
export type Signal = 'SIGUSR1' | 'SIGUSR2' | 'SIGIO' | 'SIGKILL' | 'SIGSTOP'

/** How a lease is asked for. */
export interface LeaseTerms {
  readonly mode: 'read' | 'write'
  readonly level: 'normal' | 'exclusive'
  readonly whenBusy: WhenBusy
  /** 0: the mount's. */
  readonly breakTimeMs: number
}

/**
 * What one process does: one system call or a few that belong together. `as` names what comes of it; a line that
 * fails names nothing. Names of descriptors and mappings are a process's own; all other names are known to all.
 *
 * What is spoken of but is not there (an order of lines may have it so) fails as a made-up number would: EBADF for
 * a descriptor, ENOENT for a lease or pin, EINVAL for a mapping, ESRCH for a process.
 *
 * Where an outcome of `ok` has a value, it is said below; it is empty for all others.
 */
export type Action =
  | { readonly do: 'open'; readonly file: Name; readonly flags: readonly OpenFlag[]; readonly as: Name }
  | { readonly do: 'dup'; readonly fd: Name; readonly as: Name }
  /** SCM_RIGHTS: the receiver has a descriptor `as` of the same open file description (or context) afterwards. */
  | { readonly do: 'send'; readonly fd: Name; readonly to: Name; readonly as: Name }
  | { readonly do: 'close'; readonly fd: Name }
  /** Maps the bytes shared and readable, and looks at the first of them. To `null` is to the file's present end. */
  | { readonly do: 'map'; readonly fd: Name; readonly bytes: Bytes; readonly as: Name }
  | { readonly do: 'unmap'; readonly mapping: Name }
  /**
   * Reads one mapped byte, at an offset of the file: `data`, or `zeros` where there is a hole. `killed SIGBUS` if it
   * is not there any more.
   */
  | { readonly do: 'touch'; readonly mapping: Name; readonly offset: number }
  | ({ readonly do: 'lease'; readonly fd: Name; readonly bytes: Bytes; readonly as: Name } & LeaseTerms)
  /** SETLEASE with an id (L4). */
  | ({ readonly do: 'change'; readonly fd: Name; readonly lease: Name } & LeaseTerms)
  /** `lease: null` is all leases of the open file description. */
  | { readonly do: 'release'; readonly fd: Name; readonly lease: Name | null }
  /** SETOWN. `who` is the caller or its parent; signo null: no signal. */
  | {
      readonly do: 'own'
      readonly fd: Name
      readonly lease: Name
      readonly who: 'self' | 'parent'
      readonly operation: 'add' | 'remove'
      readonly signal: Signal | null
      readonly value: number
    }
  /** Opens `pinctx`. */
  | { readonly do: 'context'; readonly as: Name }
  /** `through` is a descriptor of the file (a pin of the process) or a context. The value is the pin's count (P3). */
  | {
      readonly do: 'pin'
      readonly through: Name
      readonly lease: Name
      readonly bytes: Bytes
      readonly as: Name
    }
  | { readonly do: 'unpin'; readonly through: Name; readonly pin: Name }
  /** By path, as truncate(2), or through a descriptor, as ftruncate(2). */
  | { readonly do: 'truncate'; readonly target: FileTarget; readonly sizeBytes: number }
  /** Punching and zeroing keep the size. `bytes.end` is given. */
  | { readonly do: 'fallocate'; readonly change: RangeChange; readonly fd: Name; readonly bytes: Bytes }
  /** fallocate(2) mode 0. `bytes.end` is given. */
  | { readonly do: 'allocate'; readonly fd: Name; readonly bytes: Bytes }
  /** pwrite(2) of `countBytes` bytes that are not zero; through a passed-on descriptor like any other. The value is how many. */
  | { readonly do: 'write'; readonly fd: Name; readonly offset: number; readonly countBytes: number }
  /** pread(2). How many bytes came, and what they are: `4096 data`, `100 zeros`, `8192 mixed`, `0`. */
  | { readonly do: 'read'; readonly fd: Name; readonly offset: number; readonly countBytes: number }
  /** copy_file_range(2) within or between files. The value is how many bytes. */
  | {
      readonly do: 'copy'
      readonly from: Name
      readonly fromOffset: number
      readonly to: Name
      readonly toOffset: number
      readonly countBytes: number
    }
  | { readonly do: 'chmod'; readonly file: Name; readonly mode: number }
  | { readonly do: 'chown'; readonly file: Name; readonly owner: User }
  /** Within its directory. The file keeps its name in the scenario; its path is another afterwards. */
  | { readonly do: 'rename'; readonly file: Name }
  | { readonly do: 'unlink'; readonly file: Name }
  /** QUERY (R4); the result is the errno it foretells, `ok` for none. */
  | {
      readonly do: 'query'
      readonly fd: Name
      readonly change: 'truncate' | 'punch' | 'zero'
      readonly bytes: Bytes
    }
  /** poll(2) without waiting. The value is `PRI`, `ERR`, `PRI ERR` or nothing. */
  | { readonly do: 'poll'; readonly fd: Name }
  /** Through `ctl` (X4). With `kill` it does not wait for the processes to end. */
  | { readonly do: 'revoke'; readonly lease: Name; readonly kill: boolean }
  /**
   * What the control file `pins/PID` says of a process (R2). The value has each context under the name its
   * descriptor has there and then the process itself, the files of each in the order of their names, as in
   * `c: f g; f`; ENOENT when it has no pins.
   */
  | { readonly do: 'pins'; readonly process: Name }
  /** setresuid(2) and setresgid(2); EPERM for all but root. */
  | { readonly do: 'become'; readonly user: User }
  /** A child with the same descriptors, under the same names; it owns nothing. It maps nothing either. */
  | { readonly do: 'fork'; readonly as: Name }
  /** execve(2): the same process; its mappings are gone, its descriptors are not. */
  | { readonly do: 'exec' }
  | { readonly do: 'exit' }
  /** kill(2) on another process; what is caught is caught without SA_RESTART and so interrupts what it waits in. */
  | { readonly do: 'kill'; readonly process: Name; readonly signal: Signal | 'SIGCONT' }

export type FileTarget = { readonly file: Name } | { readonly fd: Name }

/** What came of an action. `errno` is a name such as `ETXTBSY`. */
export type Outcome =
  | { readonly is: 'ok'; readonly value: string }
  | { readonly is: 'failed'; readonly errno: string }
  /** It has not returned. */
  | { readonly is: 'waits' }
  /** The process died of it. */
  | { readonly is: 'killed'; readonly signal: string }

/** What is expected of an action: an outcome, or no more than that it succeeds, with whatever value. */
export type Expected = Outcome | { readonly is: 'succeeds' }

/** An event about a lease that a process owns, or a signal that a process got. Who sees it, and what. */
export type Notice =
  | {
      readonly kind: 'event'
      readonly event: string
      readonly lease: Name
      /** The process that ran into the lease, if the event tells of one. */
      readonly offender: Name | null
    }
  | { readonly kind: 'signal'; readonly process: Name; readonly signal: Signal; readonly value: number }

/** How a lease is seen in a report (R1); `none` when it is not listed. */
export type LeaseSight =
  | { readonly state: 'none' }
  | {
      readonly state: 'active' | 'breaking' | 'zombie' | 'revoked'
      readonly mode: 'read' | 'write'
      readonly level: 'normal' | 'exclusive'
      readonly isNotifyOnly: boolean
      /** Sorted. */
      readonly owners: readonly Name[]
      readonly pinCount: number
    }

/** One line of a scenario. */
export type Line =
  | {
      readonly kind: 'action'
      readonly process: Name
      readonly action: Action
      /** What must come of it; null: whatever it is. */
      readonly expect: Expected | null
      /**
       * The name by which a later `finishes` line speaks of it, whether it is expected to wait or not. What names
       * something by `as` has that name.
       */
      readonly waitsAs: Name | null
    }
  /** A line that waited has returned by now. */
  | { readonly kind: 'finishes'; readonly wait: Name; readonly expect: Expected }
  /** A line that waited still does. */
  | { readonly kind: 'still-waits'; readonly wait: Name }
  /**
   * Exactly these notices came since the last such line, in any order. Events other than the kinds named in
   * `only` do not count; null: all kinds count.
   */
  | { readonly kind: 'told'; readonly notices: readonly Notice[]; readonly only: readonly string[] | null }
  /** Part of how the lease is seen now; `state` and whatever else is given must be equal. */
  | {
      readonly kind: 'sight'
      readonly lease: Name
      readonly expect: Partial<Exclude<LeaseSight, { state: 'none' }>> | { readonly state: 'none' }
    }
  | { readonly kind: 'alive'; readonly process: Name; readonly isAlive: boolean }
  /** Time passes: virtual in the model, real on a mount. */
  | { readonly kind: 'time'; readonly passMs: number }
  /** Every deadline under way passes, and what follows from it has been done. */
  | { readonly kind: 'deadline' }

export interface Scenario {
  /** `topic/claim`, unique; the file's path below scenarios/. */
  readonly name: string
  /** One sentence that can be false. */
  readonly claim: string
  /** The rules it shows, at least one. */
  readonly rules: readonly RuleName[]
  /** What was asked about it in 2019, if it settles one of the questions that were left open then. */
  readonly question: string | null
  /** Why no mount can play it; null: both worlds play it. */
  readonly modelOnly: string | null
  readonly mount: MountSpec
  readonly files: readonly FileSpec[]
  readonly processes: readonly ProcessSpec[]
  readonly lines: readonly Line[]
}
