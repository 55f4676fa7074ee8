/**
 * The control directory as a file system: small files that people read with `cat` and write with `echo`.
 * What they say comes from a ControlSource; here is only how they are looked up, opened, read and written.
 */
import type {
  Answer,
  Attr,
  CreateReply,
  Deferred,
  DirectoryWriter,
  EntryReply,
  FuseFileSystem,
  IoctlArgs,
  IoctlReply,
  LostState,
  Notifier,
  Ok,
  OpenReply,
  PollArgs,
  RequestInfo,
} from '../fuse/api.js'
import { OK, PENDING } from '../fuse/api.js'
import { FOPEN_FLAGS, POLL_FLAGS } from '../fuse/index.js'
import { Errno } from '../lib/errno.js'
import { type EventHub, EventQueue } from './events.js'

/** What a finished command of `ctl` says: 0 or why not, and a line of text for whoever reads it back. */
export interface CommandResult {
  readonly errno: Errno | 0
  readonly text: string
}

/** A user as kill(2) judges one who sends a signal. */
export interface Credentials {
  /** Effective user. */
  readonly uid: number
  readonly realUid: number
  /** CAP_KILL in the user namespace of the engine. */
  readonly mayKillAll: boolean
}

/** One line written to `ctl`. */
export interface ControlCommand {
  readonly line: Buffer
  /** The write. */
  readonly request: RequestInfo
  /** Who opened `ctl`: a descriptor can be handed to a program that may more, and lends nobody its rights. */
  readonly opener: Credentials
}

export interface ControlSource {
  readonly events: EventHub
  /** ISO 8601 time of now. */
  now(): string
  version(): string
  /** Chunks of text, made while they are read: a report of 100,000 leases is never in memory as a whole. */
  leases(uid: number): Iterable<string>
  report(uid: number): Iterable<string>
  /** Processes that have pins, as far as `uid` may see them. */
  pinnedPids(uid: number): Iterable<number>
  /** The 2019 format (R2); null if there is no such process or it is not the caller's to see. */
  pinsOf(pid: number, uid: number): string | null
  contextOpened(context: number, request: RequestInfo): void
  contextClosed(context: number): void
  contextIoctl(context: number, request: RequestInfo, args: IoctlArgs): Answer<IoctlReply>
  metrics(): string
  credentialsOf(request: RequestInfo): Credentials
  /** Runs one line of `ctl`; `done` is called once, at once or later. @returns what gives up waiting for that. */
  command(command: ControlCommand, done: (result: CommandResult) => void): null | (() => void)
}

const ROOT = 1
const VERSION = 2
const LEASES = 3
const PINS = 4
const EVENTS = 5
const CTL = 6
const REPORT = 7
const METRICS = 9
/** The entry as a directory listing shows it; every lookup makes a file of its own, above CONTEXT_BASE. */
const PINCTX = 8
const CONTEXT_BASE = 2 ** 40
const PID_BASE = 2 ** 32

const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const DT_DIR = 4
const DT_REG = 8
const O_NONBLOCK = 0o4000
const O_ACCMODE = 3
const POLLIN = 1
const POLLOUT = 4
const POLLRDNORM = 0x40
const POLLWRNORM = 0x100

const FILES = [
  ['version', VERSION, 0o444],
  ['leases', LEASES, 0o444],
  ['report', REPORT, 0o444],
  ['metrics', METRICS, 0o444],
  ['events', EVENTS, 0o444],
  ['ctl', CTL, 0o666],
  ['pinctx', PINCTX, 0o666],
] as const

type Handle =
  | { readonly kind: 'text'; readonly chunks: Iterator<string>; rest: Buffer }
  | { readonly kind: 'events'; readonly queue: EventQueue; readonly waiting: Waiting[]; pollers: Set<bigint> }
  | { readonly kind: 'ctl'; readonly opener: Credentials; answer: Buffer }
  | { readonly kind: 'context'; readonly context: number }
  | { readonly kind: 'directory'; readonly entries: readonly [string, number, number][] }

interface Waiting {
  readonly deferred: Deferred<Uint8Array>
  readonly size: number
}

export interface ControlFs extends FuseFileSystem {
  /** Answers every waiting read of `events` with an empty line, so that none becomes too old (JSON Lines). */
  refreshReaders(): void
  /** Files and directories that are open now. */
  readonly openCount: number
}

/** Commands are short; a longer write is no command. */
const COMMANDS_SIZE_MAX = 4096

/** Makes the file system of one control directory. `notifier` is asked for when there is one to use. */
export function createControlFs(source: ControlSource, notifier: () => Notifier): ControlFs {
  return new ControlDirectory(source, notifier)
}

const EMPTY_LINE = Buffer.from('\n')

class ControlDirectory implements ControlFs {
  readonly #source: ControlSource
  readonly #notifier: () => Notifier
  readonly #handles = new Map<number, Handle>()
  /** A context that is opened again through /proc/self/fd is the same one, and lives until both are closed. */
  readonly #contextOpens = new Map<number, number>()
  #nextFh = 1
  #nextContext = CONTEXT_BASE
  /** Seconds since 1970: the times that all files show. */
  readonly #started: number

  constructor(source: ControlSource, notifier: () => Notifier) {
    this.#source = source
    this.#notifier = notifier
    this.#started = Math.floor(Date.parse(source.now()) / 1000)
  }

  #attr(nodeid: number): Attr {
    const isDirectory = nodeid === ROOT || nodeid === PINS
    const named = FILES.find(([, id]) => id === nodeid)
    const mode = isDirectory
      ? S_IFDIR | 0o555
      : S_IFREG | (nodeid >= CONTEXT_BASE ? 0o666 : (named?.[2] ?? 0o444))
    return {
      ino: BigInt(nodeid),
      size: 0,
      blocks: 0,
      atime: this.#started,
      mtime: this.#started,
      ctime: this.#started,
      atimeNsec: 0,
      mtimeNsec: 0,
      ctimeNsec: 0,
      mode,
      nlink: isDirectory ? 2 : 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      blksize: 4096,
      flags: 0,
    }
  }

  #entry(nodeid: number): EntryReply {
    // Nothing here may be remembered by the kernel: every open of pinctx has to be looked up anew.
    return { nodeid, generation: 0, entryValidMs: 0, attrValidMs: 0, attr: this.#attr(nodeid) }
  }

  lookup(request: RequestInfo, nameZ: Buffer): Answer<EntryReply> {
    const name = nameZ.toString('latin1', 0, nameZ.length - 1)
    if (request.nodeid === ROOT) {
      if (name === 'pins') return this.#entry(PINS)
      if (name === 'pinctx') return this.#entry(this.#nextContext++)
      const file = FILES.find(([title]) => title === name)
      return file === undefined ? -Errno.ENOENT : this.#entry(file[1])
    }
    if (request.nodeid === PINS && /^[1-9][0-9]{0,9}$/.test(name)) {
      const pid = Number(name)
      if (this.#source.pinsOf(pid, request.uid) !== null) return this.#entry(PID_BASE + pid)
    }
    return -Errno.ENOENT
  }

  getattr(request: RequestInfo): Answer<{ attr: Attr; attrValidMs: number }> {
    return { attr: this.#attr(request.nodeid), attrValidMs: 0 }
  }

  /** `echo > ctl` truncates first: there is nothing to truncate, and nothing else can be changed. */
  setattr(request: RequestInfo, args: { valid: number }): Answer<{ attr: Attr; attrValidMs: number }> {
    const FATTR_MODE_UID_GID = 7
    if ((args.valid & FATTR_MODE_UID_GID) !== 0) return -Errno.EPERM
    return { attr: this.#attr(request.nodeid), attrValidMs: 0 }
  }

  create(): Answer<CreateReply> {
    return -Errno.EPERM
  }

  open(request: RequestInfo, flags: number): Answer<OpenReply> {
    const { nodeid, uid } = request
    if (nodeid === ROOT || nodeid === PINS) return -Errno.EISDIR
    const isWriting = (flags & O_ACCMODE) !== 0
    if (nodeid === CTL) {
      const opener = this.#source.credentialsOf(request)
      return this.#opened({ kind: 'ctl', opener, answer: Buffer.alloc(0) })
    }
    if (nodeid >= CONTEXT_BASE) {
      const openCount = this.#contextOpens.get(nodeid) ?? 0
      if (openCount === 0) this.#source.contextOpened(nodeid, request)
      this.#contextOpens.set(nodeid, openCount + 1)
      return this.#opened({ kind: 'context', context: nodeid })
    }
    if (isWriting) return -Errno.EACCES
    if (nodeid === EVENTS) return this.#openEvents(uid)
    if (nodeid === VERSION) return this.#openText([this.#source.version()])
    if (nodeid === METRICS) return this.#openText([this.#source.metrics()])
    if (nodeid === LEASES) return this.#openText(this.#source.leases(uid))
    if (nodeid === REPORT) return this.#openText(this.#source.report(uid))
    const pins = this.#source.pinsOf(nodeid - PID_BASE, uid)
    return pins === null ? -Errno.ENOENT : this.#openText([pins])
  }

  #openText(chunks: Iterable<string>): OpenReply {
    return this.#opened({ kind: 'text', chunks: chunks[Symbol.iterator](), rest: Buffer.alloc(0) })
  }

  #openEvents(uid: number): OpenReply {
    const waiting: Waiting[] = []
    const pollers = new Set<bigint>()
    const queue = new EventQueue(
      uid,
      () => this.#eventsReadable(queue, waiting, pollers),
      () => this.#source.now(),
    )
    this.#source.events.subscribe(queue)
    return this.#opened({ kind: 'events', queue, waiting, pollers })
  }

  #eventsReadable(queue: EventQueue, waiting: Waiting[], pollers: Set<bigint>): void {
    while (waiting.length > 0 && queue.isReadable) {
      const first = waiting.shift()
      first?.deferred.answer(queue.read(first.size))
    }
    if (!queue.isReadable) return
    for (const kh of pollers) this.#notifier().poll(kh)
    pollers.clear()
  }

  #opened(handle: Handle): OpenReply {
    const fh = this.#nextFh++
    this.#handles.set(fh, handle)
    return { fh, openFlags: FOPEN_FLAGS.FOPEN_DIRECT_IO | FOPEN_FLAGS.FOPEN_NONSEEKABLE, backingId: 0 }
  }

  read(request: RequestInfo, fh: number, _offset: number, size: number, flags: number): Answer<Uint8Array> {
    const handle = this.#handles.get(fh)
    switch (handle?.kind) {
      case 'text':
        return readText(handle, size)
      case 'ctl': {
        const answer = handle.answer.subarray(0, size)
        handle.answer = handle.answer.subarray(answer.length)
        return answer
      }
      case 'events': {
        if (handle.queue.isReadable) return handle.queue.read(size)
        if ((flags & O_NONBLOCK) !== 0) return -Errno.EAGAIN
        const deferred = request.defer<Uint8Array>()
        const waiting = { deferred, size }
        handle.waiting.push(waiting)
        deferred.onInterrupt = () => {
          const index = handle.waiting.indexOf(waiting)
          if (index < 0) return
          handle.waiting.splice(index, 1)
          deferred.fail(Errno.EINTR)
        }
        return PENDING
      }
      default:
        return -Errno.EINVAL
    }
  }

  write(request: RequestInfo, fh: number, _offset: number, data: Buffer): Answer<{ size: number }> {
    const handle = this.#handles.get(fh)
    if (handle?.kind !== 'ctl') return -Errno.EINVAL
    // A line that does not end here is taken as it is, since `printf` may omit the newline.
    if (data.length > COMMANDS_SIZE_MAX) return -Errno.E2BIG
    const lines = data
      .toString('latin1')
      .split('\n')
      .filter((line) => line.trim() !== '')
    const size = data.length
    let deferred: Deferred<{ size: number }> | null = null
    let finished: CommandResult | null = null
    let giveUp: null | (() => void) = null
    const { opener } = handle
    const next = (): void => {
      const line = lines.shift()
      if (line === undefined) {
        finish({ errno: 0, text: 'ok' })
        return
      }
      const command = { line: Buffer.from(line, 'latin1'), request, opener }
      const waiting = this.#source.command(command, (result) => {
        if (result.errno !== 0 || lines.length === 0) finish(result)
        else next()
      })
      if (waiting !== null) giveUp = waiting
    }
    const finish = (result: CommandResult): void => {
      handle.answer = Buffer.from(`${result.text}\n`)
      finished = result
      if (deferred === null) return
      if (result.errno === 0) deferred.answer({ size })
      else deferred.fail(result.errno)
    }
    next()
    const result = finished as CommandResult | null
    if (result !== null) return result.errno === 0 ? { size } : -result.errno
    deferred = request.defer<{ size: number }>()
    deferred.onInterrupt = () => giveUp?.()
    return PENDING
  }

  get openCount(): number {
    return this.#handles.size
  }

  refreshReaders(): void {
    for (const handle of this.#handles.values()) {
      if (handle.kind !== 'events') continue
      for (const { deferred } of handle.waiting.splice(0)) deferred.answer(EMPTY_LINE)
    }
  }

  poll(_request: RequestInfo, args: PollArgs): Answer<{ revents: number }> {
    const handle = this.#handles.get(args.fh)
    if (handle?.kind !== 'events')
      return { revents: args.events & (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM) }
    if (handle.queue.isReadable) return { revents: args.events & (POLLIN | POLLRDNORM) }
    if ((args.flags & POLL_FLAGS.FUSE_POLL_SCHEDULE_NOTIFY) !== 0) handle.pollers.add(args.kh)
    return { revents: 0 }
  }

  ioctl(request: RequestInfo, args: IoctlArgs): Answer<IoctlReply> {
    const handle = this.#handles.get(args.fh)
    if (handle?.kind !== 'context') return -Errno.ENOTTY
    return this.#source.contextIoctl(handle.context, request, args)
  }

  release(_request: RequestInfo, fh: number): Answer<Ok> {
    this.#close(fh)
    return OK
  }

  /** Whoever opened it was killed before the answer came: nobody will close it. */
  replyLost(_opcode: number, lost: LostState): void {
    if (lost.fh !== null) this.#close(lost.fh)
  }

  #close(fh: number): void {
    const handle = this.#handles.get(fh)
    this.#handles.delete(fh)
    if (handle?.kind === 'events') this.#source.events.unsubscribe(handle.queue)
    if (handle?.kind === 'context') this.#releaseContext(handle.context)
  }

  #releaseContext(context: number): void {
    const openCount = (this.#contextOpens.get(context) ?? 0) - 1
    if (openCount > 0) {
      this.#contextOpens.set(context, openCount)
      return
    }
    this.#contextOpens.delete(context)
    this.#source.contextClosed(context)
  }

  opendir(request: RequestInfo): Answer<OpenReply> {
    const fh = this.#nextFh++
    const entries: [string, number, number][] = [
      ['.', request.nodeid, DT_DIR],
      ['..', ROOT, DT_DIR],
    ]
    if (request.nodeid === ROOT) {
      for (const [name, nodeid] of FILES) entries.push([name, nodeid, DT_REG])
      entries.push(['pins', PINS, DT_DIR])
    } else {
      for (const pid of this.#source.pinnedPids(request.uid))
        entries.push([String(pid), PID_BASE + pid, DT_REG])
    }
    this.#handles.set(fh, { kind: 'directory', entries })
    return { fh, openFlags: 0, backingId: 0 }
  }

  readdir(_request: RequestInfo, fh: number, offset: bigint, writer: DirectoryWriter): Answer<Ok> {
    const handle = this.#handles.get(fh)
    if (handle?.kind !== 'directory') return -Errno.EINVAL
    for (let index = Number(offset); index < handle.entries.length; index++) {
      const [name, nodeid, type] = handle.entries[index] ?? ['', 0, 0]
      if (!writer.add(Buffer.from(name), BigInt(nodeid), BigInt(index + 1), type)) break
    }
    return OK
  }

  releasedir(_request: RequestInfo, fh: number): Answer<Ok> {
    this.#handles.delete(fh)
    return OK
  }
}

function readText(handle: { chunks: Iterator<string>; rest: Buffer }, size: number): Uint8Array {
  const parts = [handle.rest]
  let length = handle.rest.length
  while (length < size) {
    const next = handle.chunks.next()
    if (next.done === true) break
    const bytes = Buffer.from(next.value)
    parts.push(bytes)
    length += bytes.length
  }
  const all = Buffer.concat(parts)
  handle.rest = all.subarray(size)
  return all.subarray(0, size)
}
