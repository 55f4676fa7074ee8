/** poll(2) over a small set of descriptors, and epoll(7) for a large one. */
import { Errno } from '../lib/errno.js'
import { check } from './error.js'
import { close } from './files.js'
import * as raw from './raw.js'

interface Entry {
  readonly fd: number
  readonly events: number
  readonly handle: (revents: number) => void
}

/** Waits on a few descriptors, each with a handler. The set may change while handlers run. */
export class Poller {
  readonly #entries = new Map<number, Entry>()
  /** What `#fds` lists, in the same order. */
  #listed: readonly Entry[] = []
  #fds = Buffer.alloc(0)

  add(fd: number, events: number, handle: (revents: number) => void): void {
    this.#entries.set(fd, { fd, events, handle })
    this.#rebuild()
  }

  remove(fd: number): void {
    if (this.#entries.delete(fd)) this.#rebuild()
  }

  #rebuild(): void {
    this.#listed = [...this.#entries.values()]
    this.#fds = Buffer.alloc(this.#listed.length * 8)
    for (const [index, { fd, events }] of this.#listed.entries()) {
      this.#fds.writeInt32LE(fd, index * 8)
      this.#fds.writeInt16LE(events, index * 8 + 4)
    }
  }

  /**
   * Waits at most `timeoutMs` (-1: for ever) and runs the handlers of what is ready.
   * @returns how many were ready.
   */
  wait(timeoutMs: number): number {
    const fds = this.#fds
    const listed = this.#listed
    const ready = raw.poll(fds, listed.length, timeoutMs)
    if (ready === -Errno.EINTR || ready === 0) return 0
    check(ready, 'poll')
    for (let offset = 0; offset < fds.length; offset += 8) {
      const revents = fds.readInt16LE(offset + 6)
      if (revents === 0) continue
      const entry = listed[offset / 8]
      // An earlier handler may have removed it, and the number may be another file's by now.
      if (entry !== undefined && this.#entries.get(entry.fd) === entry) entry.handle(revents)
    }
    return ready
  }
}

const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLLIN = 1
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8
const BATCH = 64

/** A set of descriptors that become readable once; asking costs only what is ready, however many there are. */
export class ReadinessSet {
  /** Readable itself while one of its members is: it can stand in a Poller. */
  readonly fd = check(raw.epollCreate1(0o2000000), 'epoll_create1')
  readonly #events = Buffer.alloc(EVENT_SIZE * BATCH)

  add(fd: number): void {
    const event = Buffer.alloc(EVENT_SIZE)
    event.writeUInt32LE(EPOLLIN, 0)
    event.writeInt32LE(fd, DATA_OFFSET)
    check(raw.epollCtl(this.fd, EPOLL_CTL_ADD, fd, event), 'epoll_ctl')
  }

  remove(fd: number): void {
    check(raw.epollCtl(this.fd, EPOLL_CTL_DEL, fd, Buffer.alloc(EVENT_SIZE)), 'epoll_ctl')
  }

  /** The members that are readable now, up to a batch; call again until it is empty. */
  ready(): number[] {
    const count = raw.epollWait(this.fd, this.#events, BATCH, 0)
    if (count === -Errno.EINTR) return []
    check(count, 'epoll_wait')
    const fds: number[] = []
    for (let index = 0; index < count; index++) {
      fds.push(this.#events.readInt32LE(index * EVENT_SIZE + DATA_OFFSET))
    }
    return fds
  }

  close(): void {
    close(this.fd)
  }
}
