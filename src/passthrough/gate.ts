/**
 * What the file system asks before it lets anybody take bytes away from a file, and whom it tells about open
 * files. The file system knows nothing of leases; `src/daemon` puts the lease table behind this interface.
 */
import type { Answer, IoctlArgs, IoctlReply, PollArgs, RequestInfo } from '../fuse/api.js'
import type { Errno } from '../lib/errno.js'
import type { Range } from '../lib/range.js'

/** Why a layout change was asked for; the words are those of the events (R3). */
export type LayoutOperation = 'truncate' | 'open-truncate' | 'punch-hole' | 'zero-range'

/** One open of a file through the mount: an open file description. */
export interface OpenFile {
  readonly fh: number
  readonly node: FileNode
  /** O_* as the program gave them. */
  readonly flags: number
  /** The thread that opened it, as the request header said. */
  readonly openedBy: number
}

/** A file of the mount, as long as the kernel or anybody in the engine refers to it. */
export interface FileNode {
  readonly nodeid: number
  /** Owner of the file now. Asks the backing file system. */
  ownerUid(): number
  /** Present size in bytes. Asks the backing file system. */
  size(): number
  /** Keeps the backing file (also when it is unlinked and forgotten) until `release`; counted. */
  hold(): void
  release(): void
  /** Where it is below the backing directory now, for people; bytes. The last known name if it has none. */
  path(): Buffer
  /**
   * Where its name leads now: to this file, to another one, or nowhere. `unnamed` if it is known to have none, and for
   * the root of the mount. `moving` while names are being changed through the mount: ask again later.
   */
  nameLeads(): 'here' | 'elsewhere' | 'nowhere' | 'unnamed' | 'moving'
  /** A descriptor (O_PATH) of the backing file, owned by the node: use it at once, do not keep or close it. */
  backingFd(): number
}

export interface LayoutChange {
  readonly node: FileNode
  /** null when the change names the file by path (truncate(2), open with O_TRUNC). */
  readonly file: OpenFile | null
  readonly operation: LayoutOperation
  /** Bytes taken away. Growing is no layout change and is not asked for. */
  readonly range: Range
  /** The breaker's OFD has O_NONBLOCK, or it is opened with it. */
  readonly nonBlocking: boolean
}

/**
 * `proceed(0)` lets the change happen: the file system carries it out and calls `done` when it has (also
 * when it failed), from whatever thread context, once. `proceed(errno)` refuses it.
 */
export type Proceed = (errno: Errno | 0, done: () => void) => void

export interface LayoutGate {
  /**
   * Calls `proceed` once: at once, or later if the change has to wait. `request` is for identity and for the
   * interrupt of a wait (`onInterrupt` goes to the returned function if it is still waiting).
   * @returns null if `proceed` has been called already, else what to call when the caller is interrupted.
   */
  ask(request: RequestInfo, change: LayoutChange, proceed: Proceed): null | (() => void)
  /** Does a lease or pin protect a byte of this range? copy_file_range answers EXDEV then. */
  isProtected(node: FileNode, range: Range): boolean
  /** A regular file was opened. */
  opened(request: RequestInfo, file: OpenFile): void
  /** Its last descriptor is closed (RELEASE). */
  released(file: OpenFile): void
  ioctl(request: RequestInfo, file: OpenFile, args: IoctlArgs): Answer<IoctlReply>
  poll(request: RequestInfo, file: OpenFile, args: PollArgs): Answer<{ revents: number }>
}
