/**
 * Handlers as steps. What a handler asks of the backing file system is a job; a quick one runs at once in the fs
 * thread, and then the whole handler does. One that may take long goes to an io thread, and the handler goes on
 * when it is done: a generator that yields jobs and is given their results.
 */
import type { Answer, RequestInfo } from '../../fuse/api.js'
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import * as raw from '../../linux/raw.js'
import type { Statx } from '../../linux/stat.js'
import type { BackingTree } from '../inodes/backing-tree.js'
import type { Inode } from '../inodes/inode-table.js'
import { LaterAnswer } from '../later.js'
import type { BackingKind } from './backing-kind.js'
import { type CallGroup, CallPolicy, SLOW_MS } from './call-policy.js'
import type { Identity } from './identity.js'
import {
  type Finished,
  type IoThreads,
  type Job,
  type JobResult,
  PATH_FLAGS,
  runJob,
  sleepCountOfThread,
  statName,
} from './jobs.js'

/** Something that may take long: yields what is to be done elsewhere, and returns T. */
export type Steps<T> = Generator<Job, T, JobResult>

const NO_JOBS: readonly Job[] = []

/** What can be said without doing anything. */
export function* atOnce<T>(value: T): Steps<T> {
  yield* NO_JOBS
  return value
}

/**
 * always: takes no longer than any system call. never: may always take long. commit: that too, and what changes
 * names or attributes meanwhile, or soon after it took long, waits for the disk.
 */
type Speed = CallGroup | 'always' | 'never' | 'commit'

const SPEEDS: Readonly<Record<Job['kind'], Speed>> = {
  fsync: 'commit',
  syncfs: 'commit',
  close: 'change',
  fallocate: 'commit',
  extents: 'never',
  truncate: 'change',
  ftruncate: 'change',
  copy: 'commit',
  read: 'never',
  write: 'write',
  seek: 'look',
  // Of a descriptor that we have: the inode is in memory.
  stat: 'always',
  'stat-at': 'look',
  'stat-many': 'look',
  open: 'look',
  'open-handle': 'look',
  create: 'change',
  mkdir: 'change',
  mknod: 'change',
  symlink: 'change',
  link: 'change',
  remove: 'change',
  rename: 'change',
  'set-attributes': 'change',
  readlink: 'look',
  statfs: 'always',
  list: 'look',
  'get-xattr': 'look',
  'list-xattr': 'look',
  'count-xattr': 'look',
  'set-xattr': 'change',
  'remove-xattr': 'change',
  flags: 'change',
}

/** Instead of when a call began. */
const NOT_HERE = -1
const UNTIMED = -2

export class Calls {
  private readonly io: IoThreads
  private readonly identity: Identity
  private readonly nowMs: () => number
  readonly isRemote: boolean
  private readonly isMemory: boolean
  private readonly policy: CallPolicy
  /** What a job has found out about a file; read it before the next one. */
  readonly stat: Statx
  /** struct open_how: a walk that ends with EAGAIN where it would have to ask the file system. */
  private readonly cachedHow = new BigUint64Array([BigInt(PATH_FLAGS), 0n, BigInt(c.RESOLVE_CACHED)])
  private readonly cachedHowBytes = new Uint8Array(this.cachedHow.buffer)
  private knowsCached = true
  /** How often the thread had slept before the call that is made now; -1 if nobody looked. */
  private sleepCount = -1

  constructor(options: {
    io: IoThreads
    identity: Identity
    stat: Statx
    nowMs: () => number
    /** What kind of file system is below? On a remote one a call may take long at any time. */
    kind: BackingKind
  }) {
    this.io = options.io
    this.identity = options.identity
    this.stat = options.stat
    this.nowMs = options.nowMs
    this.isRemote = options.kind === 'remote'
    this.isMemory = options.kind === 'memory'
    this.policy = new CallPolicy(this.isRemote)
  }

  mayRunHere(group: CallGroup): boolean {
    return this.policy.mayRunHere(group, this.nowMs())
  }

  /** Does a job at once if that cannot take long. @returns undefined if it is to be yielded. */
  here(job: Job): JobResult | undefined {
    const speed = SPEEDS[job.kind]
    if (speed === 'always') return this.isRemote ? undefined : this.now(job)
    if (speed === 'never' || speed === 'commit') return undefined
    const startMs = this.begin(speed)
    if (startMs === NOT_HERE) {
      return !this.isRemote && job.kind === 'stat-at' ? this.remembered(job) : undefined
    }
    const result = this.now(job)
    this.end(speed, startMs)
    return result
  }

  /** The job `stat-at` at once, for a name as a request has it; undefined if it is to be done as a job. */
  statAtHere(fd: number, nameZ: Buffer): number | undefined {
    const startMs = this.begin('look')
    if (startMs === NOT_HERE) return undefined
    const result = statName(fd, nameZ, this.stat)
    this.end('look', startMs)
    return result
  }

  /** A call is about to be made here. @returns what `end` is to be told when it is over, or NOT_HERE. */
  private begin(group: CallGroup): number {
    // In memory only what is under way elsewhere could hold it up: no clock is needed.
    if (this.isMemory && this.policy.isQuiet) return UNTIMED
    const startMs = this.nowMs()
    if (!this.policy.mayRunHere(group, startMs)) return NOT_HERE
    this.sleepCount = this.policy.looksAtNext(group) ? sleepCountOfThread() : -1
    return startMs
  }

  private end(group: CallGroup, startMs: number): void {
    if (startMs === UNTIMED) return
    const endMs = this.nowMs()
    if (endMs - startMs <= SLOW_MS) return
    const hasSlept = this.sleepCount < 0 ? null : sleepCountOfThread() > this.sleepCount
    this.policy.took(group, endMs - startMs, hasSlept, endMs)
  }

  /** Does a job at once, however long it takes: where nobody can wait for it. */
  now(job: Job): JobResult {
    return runJob(job, this.identity, this.stat)
  }

  /** Looks a name up if the kernel has it in memory, below as well. */
  private remembered(job: Extract<Job, { kind: 'stat-at' }>): JobResult | undefined {
    if (!this.knowsCached) return undefined
    const fd = raw.openat2(
      job.fd,
      Buffer.from(`${job.name}\0`, 'latin1'),
      this.cachedHowBytes,
      this.cachedHowBytes.length,
    )
    if (fd === -Errno.ENOENT) return { result: fd }
    if (fd < 0) {
      // Before Linux 5.12, or not for this name.
      if (fd === -Errno.EINVAL || fd === -Errno.ENOSYS) this.knowsCached = false
      return undefined
    }
    const result = this.now({ kind: 'stat', fd })
    raw.close(fd)
    return result
  }

  /** Sends a job to an io thread. */
  submit(job: Job, done: (result: JobResult) => void): void {
    const speed = SPEEDS[job.kind]
    const { policy, nowMs } = this
    if (speed === 'commit') {
      policy.commitBegins()
      this.io.submit(job, (finished) => {
        policy.commitEnds(finished.durationMs, finished.hasSlept, nowMs())
        done(this.taken(finished))
      })
      return
    }
    if (speed === 'always' || speed === 'never') {
      this.io.submit(job, (finished) => done(this.taken(finished)))
      return
    }
    const id = policy.sent(speed, nowMs())
    this.io.submit(job, (finished) => {
      policy.back(speed, id, finished.durationMs, finished.hasSlept, nowMs())
      done(this.taken(finished))
    })
  }

  private taken(finished: Finished): JobResult {
    if (finished.stat !== undefined) this.stat.buffer.set(finished.stat)
    return finished
  }

  /** Closes a descriptor. @param isSlow Is it the last one of a file that has much to give back? */
  close(fd: number, isSlow = false): void {
    const job: Job = { kind: 'close', fd }
    if (isSlow || this.here(job) === undefined) this.submit(job, () => {})
  }

  /**
   * Carries out a request in steps.
   * @param inode of the request, and `other` if there is a second one: their descriptors stay until it is over.
   */
  serve<T extends object | symbol>(
    request: RequestInfo,
    tree: BackingTree,
    steps: Steps<Answer<T>>,
    inode: Inode,
    other: Inode | null = null,
  ): Answer<T> {
    const first = steps.next()
    if (first.done === true) return first.value
    const later = new LaterAnswer<T>()
    tree.keep(inode)
    if (other !== null) tree.keep(other)
    this.goOn(steps, first.value, (answer) => {
      tree.unkeep(inode)
      if (other !== null) tree.unkeep(other)
      later.give(answer ?? -Errno.EIO)
    })
    return later.take(request, null)
  }

  /** Carries out steps that are no request by themselves. @param done gets undefined after a bug, which is thrown. */
  run<T>(steps: Steps<T>, done: (value: T | undefined) => void): void {
    this.follow(steps, () => steps.next(), done)
  }

  private goOn<T>(steps: Steps<T>, job: Job, done: (value: T | undefined) => void): void {
    this.submit(job, (result) => this.follow(steps, () => steps.next(result), done))
  }

  private follow<T>(
    steps: Steps<T>,
    step: () => IteratorResult<Job, T>,
    done: (value: T | undefined) => void,
  ): void {
    let next: IteratorResult<Job, T>
    try {
      next = step()
    } catch (bug) {
      done(undefined)
      throw bug
    }
    if (next.done === true) done(next.value)
    else this.goOn(steps, next.value, done)
  }

  /** Carries out steps at once, however long they take: for those who cannot wait for an answer. */
  runNow<T>(steps: Steps<T>): T {
    for (let next = steps.next(); ; ) {
      if (next.done === true) return next.value
      next = steps.next(this.now(next.value))
    }
  }
}
