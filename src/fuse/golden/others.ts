import { OK } from '../api.js'
import { ENTRY, ENTRY_BYTES, type GoldenRow, OPEN, OPEN_BYTES } from './rows.js'

const LIST_REQUEST = `
      0100000000000000  fh
      0200000000000000  offset: after the entry that said so
      00100000          size 4096
      00000000          read_flags
      0000000000000000  lock_owner
      00800100          flags O_RDONLY|O_LARGEFILE|O_DIRECTORY
      00000000          padding`
const DIRENT = `
      0b00000000000000  ino 11
      0300000000000000  off
      04000000          namelen
      08000000          type DT_REG
      "file\\0\\0\\0\\0"  name, padded`
const LOCK = `
      0100000000000000  fh
      efcdab8967452301  owner
      0000000000000000  lk.start
      ffffffffffffff7f  lk.end OFFSET_MAX
      01000000          lk.type F_WRLCK
      4d000000          lk.pid 77
      01000000          lk_flags FUSE_LK_FLOCK
      00000000          padding`
const LOCK_ARGS = {
  fh: 1,
  owner: 0x0123_4567_89ab_cdefn,
  lock: { start: 0n, end: 2n ** 63n - 1n, type: 1, pid: 77 },
  flags: 1,
}
const NAME = Buffer.from('file')

export const OTHER_ROWS: readonly GoldenRow[] = [
  {
    operation: 'OPENDIR',
    request: `
      00800100  flags O_RDONLY|O_LARGEFILE|O_DIRECTORY
      00000000  open_flags`,
    fileSystem: (call) => ({ opendir: (_, ...args) => call(args, OPEN) }),
    expected: [0x1_8000],
    reply: OPEN_BYTES,
  },
  {
    operation: 'READDIR',
    request: LIST_REQUEST,
    fileSystem: (call) => ({
      readdir(_, fh, offset, writer) {
        writer.add(NAME, 11n, 3n, 8)
        return call([fh, offset], OK)
      },
    }),
    expected: [1, 2n],
    reply: DIRENT,
  },
  {
    operation: 'READDIRPLUS',
    request: LIST_REQUEST,
    fileSystem: (call) => ({
      readdirplus(_, fh, offset, writer) {
        writer.addPlus(NAME, 11n, 3n, 8, ENTRY)
        return call([fh, offset], OK)
      },
    }),
    expected: [1, 2n],
    reply: ENTRY_BYTES + DIRENT,
  },
  {
    operation: 'RELEASEDIR',
    request: `
      0100000000000000  fh
      00800100          flags
      00000000          release_flags
      0000000000000000  lock_owner`,
    fileSystem: (call) => ({ releasedir: (_, ...args) => call(args, OK) }),
    expected: [1],
    reply: '',
  },
  {
    operation: 'FSYNCDIR',
    request: `
      0100000000000000  fh
      00000000          fsync_flags
      00000000          padding`,
    fileSystem: (call) => ({ fsyncdir: (_, ...args) => call(args, OK) }),
    expected: [1, false],
    reply: '',
  },
  {
    operation: 'IOCTL',
    request: `
      0100000000000000  fh
      00000000          flags
      014850c0          cmd
      1032547698badcfe  arg
      04000000          in_size
      08000000          out_size
      "argu"            input`,
    fileSystem: (call) => ({
      ioctl: (_, ...args) => call(args, { result: -1, output: Buffer.from('result') }),
    }),
    expected: [{ fh: 1, flags: 0, cmd: 0xc050_4801, arg: 0xfedc_ba98_7654_3210n, input: 'argu', outSize: 8 }],
    reply: `
      ffffffff  result -1
      00000000  flags
      00000000  in_iovs
      00000000  out_iovs
      "result"  output`,
  },
  {
    operation: 'POLL',
    request: `
      0100000000000000  fh
      ffffffffffffffff  kh
      01000000          flags FUSE_POLL_SCHEDULE_NOTIFY
      05000000          events POLLIN|POLLOUT`,
    fileSystem: (call) => ({ poll: (_, ...args) => call(args, { revents: 1 }) }),
    expected: [{ fh: 1, kh: 2n ** 64n - 1n, flags: 1, events: 5 }],
    reply: `
      01000000  revents POLLIN
      00000000  padding`,
  },
  {
    operation: 'GETLK',
    request: LOCK,
    fileSystem: (call) => ({
      getlk: (_, ...args) => call(args, { start: 1n, end: 2n ** 63n - 1n, type: 2, pid: 3 }),
    }),
    expected: [LOCK_ARGS],
    reply: `
      0100000000000000  lk.start
      ffffffffffffff7f  lk.end OFFSET_MAX
      02000000          lk.type F_UNLCK
      03000000          lk.pid`,
  },
  {
    operation: 'SETLK',
    request: LOCK,
    fileSystem: (call) => ({ setlk: (_, ...args) => call(args, OK) }),
    expected: [LOCK_ARGS, false],
    reply: '',
  },
  {
    operation: 'SETLKW',
    request: LOCK,
    fileSystem: (call) => ({ setlk: (_, ...args) => call(args, OK) }),
    expected: [LOCK_ARGS, true],
    reply: '',
  },
  {
    operation: 'BMAP',
    request: `
      0a00000000000000  block 10
      00100000          blocksize 4096
      00000000          padding`,
    fileSystem: (call) => ({ bmap: (_, ...args) => call(args, { block: 2 ** 32 }) }),
    expected: [10, 4096],
    reply: '0000000001000000  block 2^32',
  },
  {
    operation: 'DESTROY',
    request: '',
    fileSystem: (call) => ({ destroy: () => call([], undefined) }),
    expected: [],
    reply: '',
  },
  {
    operation: 'FORGET',
    request: '0300000000000000  nlookup',
    fileSystem: (call) => ({ forget: (...args) => call(args, undefined) }),
    expected: [5, 3],
    reply: null,
  },
  {
    operation: 'BATCH_FORGET',
    request: `
      01000000          count
      00000000          dummy
      0700000000000000  nodeid
      0200000000000000  nlookup`,
    fileSystem: (call) => ({ forget: (...args) => call(args, undefined) }),
    expected: [7, 2],
    reply: null,
  },
  {
    operation: 'NOTIFY_REPLY',
    request: `
      0000000000000000  dummy1
      0010000000000000  offset 4096
      04000000          size
      00000000          dummy2
      0000000000000000  dummy3
      0000000000000000  dummy4
      "page"            data`,
    fileSystem: (call) => ({ retrieved: (...args) => call(args, undefined) }),
    expected: [12n, 5, 4096, 'page'],
    reply: null,
  },
]

/** Operations without a row, each with what tests it instead. */
export const ROWS_ELSEWHERE: Readonly<Record<string, string>> = {
  INIT: 'negotiate.test.ts: it is answered by the session',
  INTERRUPT: 'dispatch.test.ts: it needs a request that waits',
  SETUPMAPPING: 'dispatch.test.ts: always ENOSYS, DAX windows are for virtiofs',
  REMOVEMAPPING: 'dispatch.test.ts: always ENOSYS',
}
