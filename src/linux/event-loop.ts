/**
 * Node's own event loop: descriptors in it, for programs that use the client; and the loop as a descriptor, for the
 * engine, which waits in a loop of its own (Poller).
 */
import koffi from 'koffi'
import { assert } from '../lib/assert.js'
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
  const unwatch = () => {
    if (watches.delete(unwatch)) handle.close()
  }
  if (!isExitAwaited) process.once('exit', closeAll)
  isExitAwaited = true
  watches.add(unwatch)
  return unwatch
}

/**
 * What is still watched when the program ends. Node runs its loop once more after the last JavaScript, and a
 * callback in that moment would end the program with an abort.
 */
const watches = new Set<Unwatch>()
let isExitAwaited = false

function closeAll(): void {
  for (const unwatch of watches) unwatch()
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

/**
 * A descriptor that is readable while Node's event loop of the main thread has something to do: a signal with a
 * handler, the end of a child, a message. Node must be given a turn then (`setImmediate`), or it stays readable.
 * What is new in the loop counts from its next turn on. Node shows its libuv to addons, and so to us.
 */
export function nodeLoopFd(): number {
  const node = koffi.load(null)
  const loop: unknown = node.func('uv_default_loop', 'void *', [])()
  const fd: number = node.func('uv_backend_fd', 'int', ['void *'])(loop)
  assert(fd >= 0, 'the event loop of Node has no descriptor')
  return fd
}
