/**
 * Being told that somebody writes to a file, changes its attributes or moves it, whichever way they reach it: by
 * fanotify(7), which tells root who it was, or by inotify(7) where the file system or the kernel is not up to that.
 */
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import { takeHandle } from './file-handle.js'
import { close, procFd } from './files.js'
import { cstr } from './libc.js'
import { ReadinessSet } from './poller.js'
import * as raw from './raw.js'
import { STATFS_SIZE } from './stat.js'

/** The numbers are the same in fanotify(7). */
const MASK = c.IN_MODIFY | c.IN_ATTRIB | c.IN_MOVE_SELF
const BUFFER_BYTES = 1 << 16
/** One reading takes in no more than this, so that whoever writes without pause does not keep the reader. */
const READS_MAX = 16

export interface FileChange<Id> {
  readonly id: Id
  /** Of the process; null or 0 where it is not told, 0 also for one of another pid namespace. */
  readonly pid: number | null
  /** Were bytes written or taken away? Else names, attributes or links changed. */
  readonly isData: boolean
}

/** What one of the two interfaces has to say. */
export interface Source {
  readonly fd: number
  /** @returns what the kernel will call the file, or a negative errno. */
  add(fd: number): string | number
  remove(fd: number, name: string): void
  /** Calls `tell` for each event of one read(2); null is a queue that was full. @returns false if there was none. */
  read(buffer: Buffer, tell: (name: string | null, mask: number, pid: number | null) => void): boolean
}

/** Files that are watched, each under an id of its user. Two ids may be one file. */
export class FileChanges<Id> {
  readonly #ready = new ReadinessSet()
  readonly #sources: Source[] = []
  readonly #ways: readonly (() => Source | null)[]
  #isStarted = false
  readonly #watched = new Map<Id, { source: Source; name: string }>()
  /** By the kernel's name for them. */
  readonly #ids = new Map<string, Set<Id>>()
  readonly #buffer = Buffer.alloc(BUFFER_BYTES)

  /** @param ways what to try, in this order. */
  constructor(ways: readonly (() => Source | null)[] = [fanotify, inotify]) {
    this.#ways = ways
  }

  /** Readable while there is something to read. */
  get fd(): number {
    return this.#ready.fd
  }

  get watchedCount(): number {
    return this.#watched.size
  }

  /**
   * Watches the file of an O_PATH (or any other) descriptor. The descriptor is not kept.
   * @returns 0 or a negative errno: -ENOSPC when the user has as many watches as are allowed.
   */
  watch(id: Id, fd: number): number {
    this.#start()
    let errno: number = -Errno.EMFILE
    for (const source of this.#sources) {
      const name = source.add(fd)
      if (typeof name === 'string') {
        this.#watched.set(id, { source, name })
        const ids = this.#ids.get(name)
        if (ids === undefined) this.#ids.set(name, new Set([id]))
        else ids.add(id)
        return 0
      }
      // A file system without file handles leaves it to inotify; where the limit is reached, that ends it.
      errno = name
      if (errno === -Errno.ENOSPC) return errno
    }
    return errno
  }

  /** @param fd of the same file. */
  unwatch(id: Id, fd: number): void {
    const watch = this.#watched.get(id)
    if (watch === undefined) return
    this.#watched.delete(id)
    const ids = this.#ids.get(watch.name)
    ids?.delete(id)
    if (ids === undefined || ids.size > 0) return
    this.#ids.delete(watch.name)
    watch.source.remove(fd, watch.name)
  }

  /** Takes in what there is. @returns false if events were lost: anything may have happened to any file. */
  read(tell: (change: FileChange<Id>) => void): boolean {
    let isWhole = true
    for (const source of this.#sources) {
      let left = READS_MAX
      while (left-- > 0) {
        const hasRead = source.read(this.#buffer, (name, mask, pid) => {
          if (name === null) isWhole = false
          const isData = (mask & c.IN_MODIFY) !== 0
          for (const id of this.#ids.get(name ?? '') ?? []) tell({ id, pid, isData })
        })
        if (!hasRead) break
      }
    }
    return isWhole
  }

  /** Only whoever watches something pays for it. */
  #start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    for (const start of this.#ways) {
      const source = start()
      if (source === null) continue
      this.#sources.push(source)
      this.#ready.add(source.fd)
    }
  }

  close(): void {
    for (const source of this.#sources) close(source.fd)
    this.#ready.close()
  }
}

/** struct fanotify_event_metadata, fanotify_event_info_header and file_handle. */
const EVENT = { length: 0, metadataLength: 6, mask: 8, pid: 20 } as const
const INFO = { type: 0, fsid: 4, handle: 12, handleData: 20 } as const
const FAN_EVENT_INFO_TYPE_FID = 1
const FAN_Q_OVERFLOW = 0x4000
const STATFS_FSID = 56

/** Files are called by the id of their file system and their handle. @returns null if there is no more to be had. */
export function fanotify(): Source | null {
  const fd = raw.fanotifyInit(c.FAN_REPORT_FID | c.FAN_CLOEXEC | c.FAN_NONBLOCK, 0)
  if (fd < 0) return null
  const statfs = Buffer.alloc(STATFS_SIZE)
  const nameOf = (file: number): string | number => {
    let handle = takeHandle(file, c.AT_HANDLE_FID)
    // Before Linux 6.5 only what can be opened by its handle has one.
    if (handle === -Errno.EINVAL) handle = takeHandle(file)
    if (typeof handle === 'number') return handle
    const looked = raw.fstatfs(file, statfs)
    if (looked < 0) return looked
    return statfs.toString('latin1', STATFS_FSID, STATFS_FSID + 8) + handle.toString('latin1')
  }
  const mark = (flags: number, file: number) =>
    raw.fanotifyMark(fd, flags, MASK, c.AT_FDCWD, cstr(procFd(file)))
  return {
    fd,
    add(file) {
      const name = nameOf(file)
      const result = typeof name === 'number' ? name : mark(c.FAN_MARK_ADD, file)
      return result === 0 ? name : Number(result)
    },
    remove(file) {
      mark(c.FAN_MARK_REMOVE, file)
    },
    read(buffer, tell) {
      const length = raw.read(fd, buffer, buffer.length)
      for (let at = 0; at < length; at += buffer.readUInt32LE(at + EVENT.length)) {
        const mask = buffer.readUInt32LE(at + EVENT.mask)
        const pid = buffer.readInt32LE(at + EVENT.pid)
        const info = at + buffer.readUInt16LE(at + EVENT.metadataLength)
        if ((mask & FAN_Q_OVERFLOW) !== 0) tell(null, mask, null)
        else if (buffer[info + INFO.type] === FAN_EVENT_INFO_TYPE_FID) {
          const end = info + INFO.handleData + buffer.readUInt32LE(info + INFO.handle)
          tell(buffer.toString('latin1', info + INFO.fsid, end), mask, pid)
        }
      }
      return length > 0
    },
  }
}

/** Files are called by their watch descriptors. @returns null if there is no more to be had. */
export function inotify(): Source | null {
  const fd = raw.inotifyInit1(c.IN_CLOEXEC | c.IN_NONBLOCK)
  if (fd < 0) return null
  return {
    fd,
    add(file) {
      const descriptor = raw.inotifyAddWatch(fd, cstr(procFd(file)), MASK)
      return descriptor < 0 ? descriptor : String(descriptor)
    },
    remove(_file, name) {
      raw.inotifyRmWatch(fd, Number(name))
    },
    read(buffer, tell) {
      const length = raw.read(fd, buffer, buffer.length)
      for (let at = 0; at < length; at += 16 + buffer.readUInt32LE(at + 12)) {
        const descriptor = buffer.readInt32LE(at)
        tell(descriptor < 0 ? null : String(descriptor), buffer.readUInt32LE(at + 4), null)
      }
      return length > 0
    },
  }
}
