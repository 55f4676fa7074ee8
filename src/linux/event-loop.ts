/** Descriptors in Node's own event loop, for programs that use the client. The engine does not: see Poller. */
import koffi from 'koffi'
import { O_RDONLY } from './constants.js'
import { check } from './error.js'
import { close, open } from './files.js'
import * as raw from './raw.js'

const EPOLL_CTL_ADD = 1
const EPOLLPRI = 2
const EPOLLERR = 8
const EVENT_SIZE = process.arch === 'x64' ? 12 : 16

/** Stops watching. */
export type Unwatch = () => void

/** Calls back whenever the descriptor is readable, until it is unwatched. Keeps the program alive if `ref`. */
export function watchReadable(fd: number, ref: boolean, callback: () => void): Unwatch {
  const handle = koffi.node.poll(fd, { readable: true }, callback)
  if (!ref) handle.unref()
  return () => handle.close()
}

/**
 * Calls back when poll(2) would report POLLPRI or POLLERR, once for each time it becomes so. libuv knows no
 * such interest, so the descriptor sits in an epoll of its own, and that is what the loop watches.
 */
export function watchPriority(fd: number, callback: () => void): Unwatch {
  const events = Buffer.alloc(EVENT_SIZE)
  return watchInEpoll(fd, (epoll) => {
    if (raw.epollWait(epoll, events, 1, 0) > 0) callback()
  })
}

/**
 * Calls back whenever something is mounted or unmounted. Whoever asks /proc/self/mountinfo for the second time
 * whether it has changed is told that it has not, and the loop has asked already: so we do not.
 */
export function watchMounts(callback: () => void): Unwatch {
  const fd = open('/proc/self/mountinfo', O_RDONLY)
  const unwatch = watchInEpoll(fd, callback)
  return () => {
    unwatch()
    close(fd)
  }
}

function watchInEpoll(fd: number, callback: (epoll: number) => void): Unwatch {
  const EPOLLET = 0x8000_0000
  const epoll = check(raw.epollCreate1(0o2000000), 'epoll_create1')
  const event = Buffer.alloc(EVENT_SIZE)
  event.writeUInt32LE((EPOLLPRI | EPOLLERR | EPOLLET) >>> 0, 0)
  try {
    check(raw.epollCtl(epoll, EPOLL_CTL_ADD, fd, event), 'epoll_ctl')
  } catch (error) {
    close(epoll)
    throw error
  }
  const unwatch = watchReadable(epoll, false, () => callback(epoll))
  return () => {
    unwatch()
    close(epoll)
  }
}
