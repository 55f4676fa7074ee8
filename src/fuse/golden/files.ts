import { OK } from '../api.js'
import { ENTRY, ENTRY_BYTES, type GoldenRow, OPEN, OPEN_BYTES } from './rows.js'

const COPY_REQUEST = `
      0100000000000000  fh_in
      0010000000000000  off_in 4096
      0600000000000000  nodeid_out
      0200000000000000  fh_out
      0000000001000000  off_out 2^32
      0000100000000000  len 2^20
      0000000000000000  flags`
const COPY_ARGS = { fhIn: 1, offIn: 4096, nodeidOut: 6, fhOut: 2, offOut: 2 ** 32, length: 2 ** 20, flags: 0 }

export const FILE_ROWS: readonly GoldenRow[] = [
  {
    operation: 'OPEN',
    request: `
      02820000  flags O_RDWR|O_TRUNC|O_LARGEFILE
      01000000  open_flags FUSE_OPEN_KILL_SUIDGID`,
    fileSystem: (call) => ({ open: (_, ...args) => call(args, OPEN) }),
    expected: [0x8202, 1],
    reply: OPEN_BYTES,
  },
  {
    operation: 'CREATE',
    request: `
      c1000000   flags O_WRONLY|O_CREAT|O_EXCL
      a4810000   mode 0100644
      12000000   umask 022
      00000000   open_flags
      "file\\0"  name`,
    fileSystem: (call) => ({ create: (_, ...args) => call(args, { entry: ENTRY, open: OPEN }) }),
    expected: ['file\0', 0xc1, 0o100644, 0o22, 0],
    reply: ENTRY_BYTES + OPEN_BYTES,
  },
  {
    operation: 'TMPFILE',
    request: `
      02004100  flags O_RDWR|O_TMPFILE
      80810000  mode 0100600
      12000000  umask 022
      00000000  open_flags
      "/\\0"    name that the kernel gives to what has none`,
    fileSystem: (call) => ({ tmpfile: (_, ...args) => call(args, { entry: ENTRY, open: OPEN }) }),
    expected: [0x41_0002, 0o100600, 0o22],
    reply: ENTRY_BYTES + OPEN_BYTES,
  },
  {
    operation: 'READ',
    request: `
      0100000000000000  fh
      ffffffffffff1f00  offset 2^53 - 1
      00100000          size 4096
      02000000          read_flags FUSE_READ_LOCKOWNER
      ffffffffffffffff  lock_owner
      00800000          flags O_LARGEFILE
      00000000          padding`,
    fileSystem: (call) => ({ read: (_, ...args) => call(args, Buffer.from('bytes')) }),
    expected: [1, 2 ** 53 - 1, 4096, 0x8000],
    reply: '"bytes"',
  },
  {
    operation: 'WRITE',
    request: `
      0100000000000000  fh
      0010000000000000  offset 4096
      05000000          size
      04000000          write_flags FUSE_WRITE_KILL_SUIDGID
      0000000000000000  lock_owner
      01800000          flags O_WRONLY|O_LARGEFILE
      00000000          padding
      "bytes"           data`,
    fileSystem: (call) => ({ write: (_, ...args) => call(args, { size: 5 }) }),
    expected: [1, 4096, 'bytes', 0x8001, 4],
    reply: `
      05000000  size
      00000000  padding`,
  },
  {
    operation: 'FLUSH',
    request: `
      0100000000000000  fh
      00000000          unused
      00000000          padding
      efcdab8967452301  lock_owner`,
    fileSystem: (call) => ({ flush: (_, ...args) => call(args, OK) }),
    expected: [1, 0x0123_4567_89ab_cdefn],
    reply: '',
  },
  {
    operation: 'RELEASE',
    request: `
      0100000000000000  fh
      02800000          flags O_RDWR|O_LARGEFILE
      01000000          release_flags FUSE_RELEASE_FLUSH
      0000000000000080  lock_owner 2^63`,
    fileSystem: (call) => ({ release: (_, ...args) => call(args, OK) }),
    expected: [1, 0x8002, 1, 2n ** 63n],
    reply: '',
  },
  {
    operation: 'FSYNC',
    request: `
      0100000000000000  fh
      01000000          fsync_flags FUSE_FSYNC_FDATASYNC
      00000000          padding`,
    fileSystem: (call) => ({ fsync: (_, ...args) => call(args, OK) }),
    expected: [1, true],
    reply: '',
  },
  {
    operation: 'FALLOCATE',
    request: `
      0100000000000000  fh
      0010000000000000  offset 4096
      0020000000000000  length 8192
      03000000          mode FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE
      00000000          padding`,
    fileSystem: (call) => ({ fallocate: (_, ...args) => call(args, OK) }),
    expected: [1, 4096, 8192, 3],
    reply: '',
  },
  {
    operation: 'LSEEK',
    request: `
      0100000000000000  fh
      ffffffffffffffff  offset -1
      03000000          whence SEEK_DATA
      00000000          padding`,
    fileSystem: (call) => ({ lseek: (_, ...args) => call(args, { offset: 2 ** 40 }) }),
    expected: [1, -1, 3],
    reply: '0000000000010000  offset 2^40',
  },
  {
    operation: 'COPY_FILE_RANGE',
    request: COPY_REQUEST,
    fileSystem: (call) => ({ copyFileRange: (_, ...args) => call(args, { size: 4096 }) }),
    expected: [COPY_ARGS],
    reply: `
      00100000  size 4096
      00000000  padding`,
  },
  {
    operation: 'COPY_FILE_RANGE_64',
    request: COPY_REQUEST,
    fileSystem: (call) => ({ copyFileRange: (_, ...args) => call(args, { size: 2 ** 33 }) }),
    expected: [COPY_ARGS],
    reply: '0000000002000000  bytes_copied 2^33',
  },
]
