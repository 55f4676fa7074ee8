/**
 * Serves a plain passthrough of a directory (or file), without leases, for the tests and measurements of
 * src/passthrough. Prints `ready` when it is mounted; ends when it is unmounted.
 *
 *     node test/support/serve-plain.js [--no-passthrough] [--stack-depth N] [--path-fds N] [--remote] [--hold FILE] [--debug] DIR MOUNTPOINT
 *
 * With --faults FILE it is a file system that fails on command: FILE has lines of an operation (`write`, or `*` for
 * all) and an errno, and is read for each request. They concern files, and what is in directories, with "bad" in
 * their paths; the kernel is told to remember nothing. With --hold FILE it is one that keeps requests waiting
 * (holding.js).
 */
import { readFileSync, writeSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { holding } from './holding.js'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
const { FuseSession, PENDING } = await import(`${dist}fuse/index.js`)
const { FuseDevice } = await import(`${dist}linux/fuse-device.js`)
const { attach, cloneTree } = await import(`${dist}linux/mounts.js`)
const { close, open, statFd } = await import(`${dist}linux/files.js`)
const { Poller } = await import(`${dist}linux/poller.js`)
const { createIoThreads, createPassthrough } = await import(`${dist}passthrough/index.js`)

const O_PATH = 0o10000000
const POLLIN = 1
const ENOTTY = 25
/** Requests taken in a row before the other descriptors are looked at again. */
const BURST = 64
/** How often is looked whether something is to be held no longer. */
const HOLD_POLL_MS = 20

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'no-passthrough': { type: 'boolean', default: false },
    'stack-depth': { type: 'string', default: '1' },
    'path-fds': { type: 'string', default: '0' },
    'idle-backing': { type: 'string', default: '1024' },
    debug: { type: 'boolean', default: false },
    faults: { type: 'string' },
    hold: { type: 'string' },
    remote: { type: 'boolean', default: false },
  },
})
const [directory = '', mountpoint = ''] = positionals

/** Lets everything happen at once. */
const gate = {
  ask(_request, _change, proceed) {
    proceed(0, () => {})
    return null
  },
  isProtected: () => false,
  opened() {},
  released() {},
  ioctl: () => -ENOTTY,
  poll: (_request, _file, args) => ({ revents: args.events & 0x145 }),
}

/** The same file system, whose operations fail as the lines of `file` say. */
function failing(fileSystem, file) {
  const faultOf = (operation, nodeid) => {
    const lines = readFileSync(file, 'utf8').split('\n')
    const line = lines.find((text) => text.startsWith('* ') || text.startsWith(`${operation} `))
    if (line === undefined || !fileSystem.nodeOf(nodeid)?.path().includes('bad')) return 0
    return -Number(line.split(' ')[1])
  }
  const wrapped = Object.create(fileSystem)
  // Files can always be closed and forgotten.
  const kept = new Set(['init', 'destroy', 'forget', 'replyLost', 'release', 'releasedir', 'close'])
  for (const [name, handler] of Object.entries(fileSystem)) {
    if (typeof handler !== 'function' || kept.has(name)) continue
    wrapped[name] = (...args) => {
      const request = args[0]
      const fault = typeof request?.nodeid === 'number' ? faultOf(name, request.nodeid) : 0
      return fault === 0 ? handler(...args) : fault
    }
  }
  return wrapped
}

const rootFd = cloneTree(-100, path.resolve(directory))
const target = open(path.resolve(mountpoint), O_PATH)
const device = FuseDevice.open()
const io = createIoThreads({ workerFile: `${dist}passthrough/io/worker.js` })
const sound = createPassthrough({
  rootFd,
  gate,
  io,
  fuseFd: device.fd,
  options: {
    without: new Set(values['no-passthrough'] ? ['passthrough'] : []),
    maxStackDepth: Number(values['stack-depth']),
    pathFdCountMax: Number(values['path-fds']),
    idleBackingCountMax: Number(values['idle-backing']),
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    remote: values.remote,
    ...(values.faults === undefined && values.hold === undefined ? {} : { attrValidMs: 0, entryValidMs: 0 }),
  },
})
const fileSystem = values.faults === undefined ? sound : failing(sound, values.faults)
const held = values.hold === undefined ? null : holding(fileSystem, values.hold, PENDING)
let bugCount = 0
const session = new FuseSession({
  transport: device,
  fileSystem: held?.fileSystem ?? fileSystem,
  ...fileSystem.wantedInit,
  reportBug(error) {
    bugCount++
    writeSync(2, `bug: ${error instanceof Error ? error.stack : String(error)}\n`)
  },
  ...(values.debug ? { debug: (line) => writeSync(2, `${line}\n`) } : {}),
})
const mount = device.createMount({
  subtype: 'plain',
  source: Buffer.from('plain'),
  rootMode: statFd(rootFd).mode,
  attributes: 0,
  allowOther: true,
  defaultPermissions: true,
})
attach(mount, target)
close(mount)
close(target)

const poller = new Poller()
let isMounted = true
poller.add(device.fd, POLLIN, () => {
  for (let count = 0; count < BURST; count++) {
    const outcome = session.receive()
    if (outcome === 'idle') return
    if (outcome === 'unmounted') {
      isMounted = false
      return
    }
  }
})
poller.add(io.eventFd, POLLIN, () => io.collect())
// INIT comes with the mount; the directory can be used when it is answered.
while (isMounted && session.negotiated === null) poller.wait(-1)
writeSync(1, `ready ${fileSystem.isPassthrough ? 'passthrough' : 'daemon'}\n`)
while (isMounted) {
  poller.wait(held === null ? -1 : HOLD_POLL_MS)
  held?.check()
}
await io.stop()
fileSystem.close()
process.exitCode = bugCount > 0 ? 3 : 0
