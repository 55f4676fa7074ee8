/**
 * Serves a plain passthrough of a directory (or file), without leases, for the tests and measurements of
 * src/passthrough. Prints `ready` when it is mounted; ends when it is unmounted.
 *
 *     node test/support/serve-plain.js [--no-passthrough] [--stack-depth N] [--path-fds N] [--remote] [--no-cache] [--hold FILE] [--debug] DIR MOUNTPOINT
 */
import { writeSync } from 'node:fs'
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
    remote: { type: 'boolean', default: false },
    // The kernel asks for attributes and names each time.
    'no-cache': { type: 'boolean', default: false },
    hold: { type: 'string' },
    debug: { type: 'boolean', default: false },
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

const rootFd = cloneTree(-100, path.resolve(directory))
const target = open(path.resolve(mountpoint), O_PATH)
const device = FuseDevice.open()
const io = createIoThreads({ workerFile: `${dist}passthrough/io-worker.js` })
const fileSystem = createPassthrough({
  rootFd,
  gate,
  io,
  fuseFd: device.fd,
  options: {
    passthrough: !values['no-passthrough'],
    maxStackDepth: Number(values['stack-depth']),
    pathFdCountMax: Number(values['path-fds']),
    idleBackingCountMax: Number(values['idle-backing']),
    remote: values.remote,
    ...(values['no-cache'] ? { attrValidMs: 0, entryValidMs: 0 } : {}),
    nowMs: () => performance.now(),
  },
})
const wanted = fileSystem.wantedInit
const held = values.hold === undefined ? null : holding(fileSystem, values.hold, PENDING)
let bugCount = 0
const session = new FuseSession({
  transport: device,
  fileSystem: held?.fileSystem ?? fileSystem,
  wantedFlags: wanted.flags,
  maxWrite: wanted.maxWriteBytes,
  ...(wanted.maxStackDepth > 0 ? { maxStackDepth: wanted.maxStackDepth } : {}),
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
