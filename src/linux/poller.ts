/** Waiting on descriptors with handlers, and asking many of them at once. */
import { Errno } from '../lib/errno.js'
import { O_CLOEXEC, POLLIN } from './constants.js'
import { check } from './error.js'
import { close } from './files.js'
import * as raw from './raw.js'

const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLLIN = 1
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16
const EVENT_WORDS = EVENT_SIZE / 4
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8
const BATCH = 64

/** Waits for a single descriptor. @returns false if `timeoutMs` has passed, or a signal came, before. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const pollfd = Buffer.alloc(8)
  pollfd.writeInt32LE(fd, 0)
  pollfd.writeInt16LE(POLLIN, 4)
  const ready = raw.poll(pollfd, 1, timeoutMs)
  return ready === -Errno.EINTR ? false : check(ready, 'poll') > 0
}

/** An epoll(7) set: waiting costs what is ready, not what is watched. */
class Epoll {
  readonly fd = check(raw.epollCreate1(O_CLOEXEC), 'epoll_create1')
  readonly #events = Buffer.alloc(EVENT_SIZE * BATCH)
  readonly #words = new Int32Array(this.#events.buffer, this.#events.byteOffset, EVENT_WORDS * BATCH)

  add(fd: number, events: number): void {
    const event = Buffer.alloc(EVENT_SIZE)
    event.writeUInt32LE(events, 0)
    event.writeInt32LE(fd, DATA_OFFSET)
    check(raw.epollCtl(this.fd, EPOLL_CTL_ADD, fd, event), 'epoll_ctl')
  }

  remove(fd: number): void {
    check(raw.epollCtl(this.fd, EPOLL_CTL_DEL, fd, this.#events), 'epoll_ctl')
  }

  /** @returns how many are ready, a batch at most; `readyFd` and `readyEvents` tell which. */
  wait(timeoutMs: number): number {
    const count = raw.epollWait(this.fd, this.#events, BATCH, timeoutMs)
    return count === -Errno.EINTR ? 0 : check(count, 'epoll_wait')
  }

  readyFd(index: number): number {
    return this.#words[index * EVENT_WORDS + DATA_OFFSET / 4] ?? -1
  }

  readyEvents(index: number): number {
    return this.#words[index * EVENT_WORDS] ?? 0
  }

  close(): void {
    close(this.fd)
  }
}

interface Entry {
  readonly fd: number
  readonly handle: (revents: number) => void
}

/** Waits on a few descriptors, each with a handler. The set may change while handlers run. */
export class Poller {
  readonly #epoll = new Epoll()
  readonly #entries = new Map<number, Entry>()

  /** @param events POLLIN, ...: epoll has the same numbers. POLLERR and POLLHUP are always told. */
  add(fd: number, events: number, handle: (revents: number) => void): void {
    this.#epoll.add(fd, events)
    this.#entries.set(fd, { fd, handle })
  }

  /** Call it before the descriptor is closed. */
  remove(fd: number): void {
    if (this.#entries.delete(fd)) this.#epoll.remove(fd)
  }

  /**
   * Waits at most `timeoutMs` (-1: for ever) and runs the handlers of what is ready.
   * @returns how many were ready.
   */
  wait(timeoutMs: number): number {
    const count = this.#epoll.wait(timeoutMs)
    // The usual case, without the list that the others need.
    if (count === 1) {
      this.#entries.get(this.#epoll.readyFd(0))?.handle(this.#epoll.readyEvents(0))
      return 1
    }
    const ready: [Entry, number][] = []
    for (let index = 0; index < count; index++) {
      const entry = this.#entries.get(this.#epoll.readyFd(index))
      if (entry !== undefined) ready.push([entry, this.#epoll.readyEvents(index)])
    }
    for (const [entry, revents] of ready) {
      // An earlier handler may have removed it, and the number may be another file's by now.
      if (this.#entries.get(entry.fd) === entry) entry.handle(revents)
    }
    return count
  }

  close(): void {
    this.#epoll.close()
  }
}

/** A set of descriptors that become readable once; asking costs only what is ready, however many there are. */
export class ReadinessSet {
  readonly #epoll = new Epoll()

  /** Readable itself while one of its members is: it can stand in a Poller. */
  get fd(): number {
    return this.#epoll.fd
  }

  add(fd: number): void {
    this.#epoll.add(fd, EPOLLIN)
  }

  remove(fd: number): void {
    this.#epoll.remove(fd)
  }

  /** The members that are readable now, up to a batch; call again until it is empty. */
  ready(): number[] {
    const count = this.#epoll.wait(0)
    return Array.from({ length: count }, (_, index) => this.#epoll.readyFd(index))
  }

  close(): void {
    this.#epoll.close()
  }
}
